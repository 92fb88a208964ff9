// A table that sorts, filters and copies.

/**
 * `columns`: {key, title, number, text(row), sort(row), paint(row)}; the first one heads its row.
 * `rows`: any objects; `row.kind` becomes the class of the line.
 */
function dataTable({ name, columns, rows, tall }) {
  const state = { key: null, down: false, wanted: "" };
  const body = el("tbody");
  const head = el("tr");
  const table = el("table", {}, el("caption", { class: "visually-hidden" }, name), el("thead", {}, head), body);

  const textOf = (column, row) => (column.text ? column.text(row) : String(row[column.key] ?? ""));
  const sortOf = (column, row) => (column.sort ? column.sort(row) : column.number ? row[column.key] : textOf(column, row));

  function shown() {
    const wanted = state.wanted.toLowerCase();
    const found = rows.filter((row) => columns.some((column) => textOf(column, row).toLowerCase().includes(wanted)));
    const by = columns.find((column) => column.key === state.key);
    return by ? [...found].sort((a, b) => compare(sortOf(by, a), sortOf(by, b), state.down)) : found;
  }

  function fill() {
    body.replaceChildren(...shown().map((row) => el("tr", { class: row.kind }, columns.map((column, place) => cell(column, row, place)))));
    for (const [place, column] of columns.entries()) {
      const order = column.key !== state.key ? "none" : state.down ? "descending" : "ascending";
      head.children[place].setAttribute("aria-sort", order);
      head.children[place].querySelector(".order").textContent = { none: "", ascending: " \u2191", descending: " \u2193" }[order];
    }
  }

  function cell(column, row, place) {
    const content = column.node ? column.node(row) : textOf(column, row);
    const attributes = { class: column.number ? "number" : String(content).length > 24 ? "text" : null, style: column.paint ? column.paint(row) : null };
    return place === 0 ? el("th", { scope: "row", ...attributes }, el("span", { class: "name" }, content)) : el("td", attributes, content);
  }

  function sortBy(column) {
    // Numbers are first shown with the largest at the top, then the other way round, then as they were.
    const first = Boolean(column.number);
    if (state.key !== column.key) [state.key, state.down] = [column.key, first];
    else if (state.down === first) state.down = !first;
    else state.key = null;
    fill();
    say(state.key ? `Sorted by ${column.title}, ${state.down ? "descending" : "ascending"}` : "In the order of the sweep");
  }

  for (const column of columns) {
    const label = el("button", { type: "button", click: () => sortBy(column), title: column.hint }, column.title, el("span", { class: "order" }));
    head.append(el("th", { scope: "col", class: column.number ? "number" : null }, label));
  }
  fill();
  return {
    node: scrolling(name, table, tall ?? rows.length > 18),
    filter: (text) => {
      state.wanted = text;
      fill();
    },
    cells: () => [columns.map((column) => column.title), ...shown().map((row) => columns.map((column) => textOf(column, row)))],
    numbers: columns.map((column) => Boolean(column.number)),
  };
}

function compare(a, b, down) {
  const empty = (value) => value === null || value === undefined || value === "";
  if (empty(a) || empty(b)) return empty(a) - empty(b);
  const order = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });
  return down ? -order : order;
}

/** Buttons that copy what a table shows. */
function copies(table, caption) {
  const holder = el("div");
  const forms = [["LaTeX", latex], ["Markdown", markdown], ["CSV", csv]];
  const row = el("div", { class: "controls" }, "Copy as", forms.map(([name, form]) =>
    button(name, () => copy(form(table.cells(), table.numbers, caption), name, holder))));
  holder.append(row);
  return holder;
}

function latex(cells, numbers, caption) {
  const escaped = (text) => text.replace(/[\\{}$&#%_^~]/g, (sign) =>
    ({ "\\": "\\textbackslash{}", "^": "\\textasciicircum{}", "~": "\\textasciitilde{}" }[sign] ?? `\\${sign}`))
    .replaceAll(MINUS, "$-$").replaceAll("\u202f", "\\,").replaceAll("<", "$<$").replaceAll(">", "$>$");
  const line = (row) => `${row.map(escaped).join(" & ")} \\\\`;
  const [head, ...rows] = cells;
  return ["% needs \\usepackage{booktabs}", "\\begin{table}", `\\caption{${escaped(caption)}}`,
    `\\begin{tabular}{${numbers.map((isNumber) => (isNumber ? "r" : "l")).join("")}}`, "\\toprule", line(head), "\\midrule",
    ...rows.map(line), "\\bottomrule", "\\end{tabular}", "\\end{table}", ""].join("\n");
}

function markdown(cells, numbers) {
  const line = (row) => `| ${row.map((text) => text.replaceAll("\\", "\\\\").replaceAll("|", "\\|").replaceAll("<", "&lt;")).join(" | ")} |`;
  const [head, ...rows] = cells;
  return [line(head), `|${numbers.map((isNumber) => (isNumber ? "---:" : "---")).join("|")}|`, ...rows.map(line), ""].join("\n");
}

function csv(cells) {
  const quoted = (text) => {
    const plain = text.replaceAll(MINUS, "-").replaceAll("\u202f", "");
    // A leading = + @ or tab would be run as a formula by spreadsheets, where it is not a number.
    const safe = /^[=+@\t\r-]/.test(plain) && Number.isNaN(Number(plain)) ? `'${plain}` : plain;
    return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  return cells.map((row) => row.map(quoted).join(",")).join("\n") + "\n";
}
