// Confusion matrices: an arm, the reference, and the difference of the two.

function confusion(report) {
  const parts = [];
  for (const evaluation of report.evaluations) {
    const found = evaluation.confusion;
    if (found && found.arms.length > 0) parts.push(heading(report, evaluation), ...confusionOf(found));
  }
  if (parts.length === 0) return null;
  return {
    title: "Confusions",
    how: "a row is a true class, a column what the primary probe predicted, summed over seeds; framed cells are correct predictions. The numbers are percent of the row. " +
      "In the difference, blue means that the arm predicts this more often than the reference does, orange less often.",
    parts,
  };
}

function confusionOf(found) {
  const reference = found.arms.find((arm) => arm.kind === "reference");
  const others = found.arms.filter((arm) => arm !== reference);
  const holder = el("div", { class: "matrices" });
  const state = { arm: others.length > 0 ? 0 : null, shown: "percent" };
  const show = () => {
    const arm = state.arm === null ? null : others[state.arm];
    const matrices = [arm, reference].filter(Boolean).map((of) => matrix(found.classes, of.name, shares(of.counts), of.counts, state.shown));
    if (arm && reference) {
      const [a, b] = [shares(arm.counts), shares(reference.counts)];
      const gaps = a.map((row, i) => row.map((share, j) => difference(share, b[i][j])));
      matrices.push(matrix(found.classes, `${arm.name} \u2212 ${reference.name}`, gaps, null, "difference"));
    }
    holder.replaceChildren(...matrices);
  };
  show();
  const controls = el("div", { class: "controls" });
  if (others.length > 0) {
    controls.append(choice("Arm", others.map((arm, i) => [i, arm.name]), 0, (index) => {
      state.arm = Number(index);
      show();
    }));
  }
  controls.append(choice("Show", [["percent", "percent of the true class"], ["counts", "numbers of cells"]], "percent", (shown) => {
    state.shown = shown;
    show();
  }));
  return [controls, holder];
}

function shares(counts) {
  return counts.map((row) => {
    const all = row.reduce((sum, count) => sum + count, 0);
    return row.map((count) => (all === 0 ? null : count / all));
  });
}

function matrix(names, title, values, counts, shown) {
  const strongest = Math.max(0.03, ...values.flat().map((value) => Math.abs(value ?? 0)));
  const head = el("tr", {}, el("th", { scope: "col" }, "true \u2193 predicted \u2192"), names.map((name) => el("th", { scope: "col", title: name }, name)));
  const rows = names.map((name, i) => el("tr", {}, el("th", { scope: "row", title: name }, name), names.map((predicted, j) => {
    const value = values[i][j];
    const text = value === null ? "" : shown === "counts" ? thousands(counts[i][j]) : shown === "difference" ? gapText(value) : cellText(value);
    const fill = shown === "difference" ? diverging(value, strongest) : value ? `background: rgba(var(--more), ${(0.6 * value).toFixed(3)})` : null;
    const hint = `${name} predicted as ${predicted}: ${counts ? `${thousands(counts[i][j])} cells, ` : ""}${value === null ? "no cells" : `${fixed(100 * value, 1)}${shown === "difference" ? " points" : " %"}`}`;
    return el("td", { class: i === j ? "right" : null, style: fill, title: hint }, text);
  })));
  const table = el("table", {}, el("caption", { class: "visually-hidden" }, `Confusions of ${title}`), el("thead", {}, head), el("tbody", {}, rows));
  return el("div", { class: "matrix" }, el("h3", {}, title), scrolling(`Confusions of ${title}`, table));
}

function cellText(value) {
  return value < 0.0005 ? "" : fixed(100 * value, value >= 0.0995 ? 0 : 1);
}

function gapText(value) {
  return Math.abs(value) < 0.0005 ? "" : (value > 0 ? "+" : "") + fixed(100 * value, Math.abs(value) >= 0.0995 ? 0 : 1);
}
