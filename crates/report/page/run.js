// What was run, and what it is to be called in a paper.

function run(report) {
  const { run: found } = report;
  if (!found) return null;
  const parts = [];
  if (found.facts.length > 0) parts.push(facts(found.facts));
  if (found.arms.length > 0) {
    const columns = [{ key: "name", title: "arm" }, { key: "changes", title: "changes to the reference" },
      { key: "trial", title: "trial", node: (arm) => el("code", {}, arm.trial) }, { key: "shards", title: "trained on", node: (arm) => el("code", {}, arm.shards) }];
    if (found.arms.some((arm) => arm.hours !== null)) columns.push({ key: "hours", title: "device hours", number: true, text: (arm) => (arm.hours === null ? "" : fixed(arm.hours, 2)) });
    if (found.arms.some((arm) => arm.kwh)) columns.push({ key: "kwh", title: "kWh", number: true, text: (arm) => (arm.kwh ? fixed(arm.kwh, 3) : "") });
    parts.push(el("h3", {}, "Arms"), dataTable({ name: "Arms", columns, rows: found.arms }).node);
  }
  parts.push(el("h3", {}, "Trials without scores"));
  if (found.unscored.length === 0) parts.push(el("p", {}, "None."));
  else {
    const columns = [{ key: "arm", title: "arm" }, { key: "seed", title: "seed" }, { key: "state", title: "state" }, { key: "reason", title: "reason" },
      { key: "trial", title: "trial", node: (trial) => el("code", {}, trial.trial) }];
    parts.push(dataTable({ name: "Trials without scores", columns, rows: found.unscored }).node);
  }
  for (const card of found.cards) parts.push(el("h3", {}, card.title), ...cardParts(card));
  return { title: "What was run", how: null, parts };
}

function cardParts(card) {
  const parts = card.facts.length > 0 ? [facts(card.facts)] : [];
  if (!card.table) return parts;
  const { columns, rows } = card.table;
  const isNumber = (i) => rows.some((row) => typeof row[i] === "number") && rows.every((row) => typeof row[i] === "number" || row[i] === "");
  const heads = columns.map((title, i) => ({ key: i, title, number: isNumber(i), text: (row) => (typeof row[i] === "number" ? thousands(row[i]) : row[i]), sort: (row) => (row[i] === "" ? null : row[i]) }));
  return [...parts, dataTable({ name: card.title, columns: heads, rows }).node];
}

function facts(pairs) {
  return el("dl", { class: "facts" }, pairs.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, isDigest(value) ? el("code", {}, value) : value)]));
}

function isDigest(text) {
  return /^[0-9a-f]{12,64}$/.test(text);
}

function methods(report) {
  if (report.methods.length === 0) return null;
  const holder = el("div");
  holder.append(...report.methods.map((paragraph) => el("p", {}, paragraph)),
    el("div", { class: "controls" }, button("Copy the paragraph", () => copy(report.methods.join("\n\n"), "Methods", holder))));
  return { title: "Methods", how: null, parts: [holder, ...report.captions.map((caption) => el("p", { class: "small" }, caption))] };
}
