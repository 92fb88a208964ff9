// Tables: all scores, classes, sources.

function scores(report) {
  const parts = [];
  for (const evaluation of report.evaluations) {
    if (evaluation.lines.length === 0) continue;
    parts.push(heading(report, evaluation), ...scoresOf(report, evaluation));
  }
  if (parts.length === 0) return null;
  return {
    title: "Scores",
    how: "\u00b1 is the standard deviation over seeds; the standard deviation over folds has a column of its own, because it measures something else. " +
      "p and verdict are given only for primary comparisons; all other lines are descriptive. Click a column title to sort.",
    parts,
  };
}

function scoresOf(report, evaluation) {
  const holder = el("div");
  const pairs = new Map(evaluation.lines.map((line) => [`${line.probe}\u0000${line.metric}`, line]));
  const isPrimary = (line) => line.probe === evaluation.primary.probe && line.metric === evaluation.primary.metric;
  const options = [...pairs].map(([key, line]) => [key, `${line.probe}: ${line.words}${isPrimary(line) ? " (primary)" : ""}`]);
  const first = [...pairs].find(([, line]) => isPrimary(line)) ?? [...pairs][0];
  const state = { key: first[0], wanted: "" };
  let table;
  const show = () => {
    const rows = evaluation.lines.filter((line) => state.key === "all" || `${line.probe}\u0000${line.metric}` === state.key);
    table = dataTable({ name: `Scores on ${evaluation.name}`, columns: scoreColumns(report, rows, state.key === "all"), rows });
    table.filter(state.wanted);
    holder.replaceChildren(table.node, copies(table, `${report.title}: ${evaluation.name}, split ${evaluation.split}`));
  };
  show();
  const filter = el("input", { type: "search", placeholder: "part of a name", input: (event) => {
    state.wanted = event.target.value;
    table.filter(state.wanted);
  } });
  const controls = el("div", { class: "controls" },
    choice("Probe and metric", [...options, ["all", "all"]], state.key, (key) => {
      state.key = key;
      show();
    }),
    el("label", {}, "Filter", filter));
  return [controls, holder];
}

function scoreColumns(report, rows, several) {
  const has = (test) => rows.some(test);
  const of = (line, get) => (line.difference ? get(line.difference) : null);
  const range = (line, name) => interval(of(line, (d) => d[name]), line.unit);
  const percent = `${Math.round(100 * report.level)} %`;
  const named = (title, text) => ({ key: title, title, text, sort: text });
  const numeric = (title, get, words, hint) => ({ key: title, title, number: true, hint, sort: get, text: (line) => words(get(line), line.unit) });
  const columns = [named("arm", (line) => line.name)];
  if (several) columns.push(named("probe", (line) => line.probe), named("metric", (line) => line.words));
  columns.push(numeric("seeds", (line) => line.seeds, (count) => String(count)));
  columns.push(numeric("mean", (line) => line.mean, number, "percent, or the unit of the metric"));
  columns.push(numeric("\u00b1 seeds", (line) => line.over_seeds, number, "standard deviation over seeds"));
  if (has((line) => line.over_folds !== null)) {
    columns.push(numeric("\u00b1 folds", (line) => line.over_folds, number, "standard deviation over folds"));
  }
  if (has((line) => line.difference)) {
    columns.push(numeric("difference", (line) => of(line, (d) => d.mean), signed));
    columns.push({ ...numeric(`${percent} interval`, (line) => of(line, (d) => d.interval?.[0]), () => ""), text: (line) => range(line, "interval") });
    columns.push({ ...numeric("seeds alone", (line) => of(line, (d) => d.seeds_interval?.[0]), () => "", "interval over new seeds on these very cells"), text: (line) => range(line, "seeds_interval") });
  }
  if (has((line) => line.p_holm !== null && line.p_holm !== undefined)) columns.push(numeric("p (Holm)", (line) => line.p_holm, pValue));
  if (has((line) => line.verdict)) {
    columns.push({ ...named("verdict", (line) => line.verdict ?? ""), node: (line) => (line.verdict ? verdictMark(line.verdict) : "") });
  }
  if (has((line) => line.notes.length > 0)) columns.push(named("notes", (line) => line.notes.join("; ")));
  return columns;
}

/** A colour for a difference: blue above the reference, orange below, the stronger the further. */
function diverging(difference, strongest) {
  if (difference === null || !(strongest > 0)) return null;
  const strength = Math.min(Math.abs(difference) / strongest, 1) * 0.55;
  return strength < 0.02 ? null : `background: rgba(var(--${difference > 0 ? "more" : "less"}), ${strength.toFixed(3)})`;
}

function classes(report) {
  const metrics = [["f1", "F1"], ["recall", "recall"], ["precision", "precision"]];
  return grid(report, {
    title: "Classes",
    how: "how each arm does on each class, in percent. Blue: higher than the reference; orange: lower; the support under a head is the number of true cells. " +
      "Weighted means hide rare classes: look at the small supports first.",
    of: (evaluation) => evaluation.per_class,
    metrics,
    heads: (found) => found.classes.map((name, i) => [name, `${thousands(found.support[i])} cells`]),
    value: (arm, metric, column) => arm[metric][column],
  });
}

function sources(report) {
  return grid(report, {
    title: "Sources",
    how: "the primary score on each source (laboratory, camera, publication), in percent. Blue: higher than the reference on the same source; orange: lower.",
    of: (evaluation) => evaluation.per_source,
    metrics: [["scores", "score"]],
    heads: (found) => found.sources.map((name, i) => [name, `${thousands(found.cells[i])} cells`]),
    value: (arm, metric, column) => arm[metric][column],
  });
}

/** Arms as rows, classes or sources as columns. */
function grid(report, { title, how, of, metrics, heads, value }) {
  const parts = [];
  for (const evaluation of report.evaluations) {
    const found = of(evaluation);
    if (!found || found.arms.length === 0) continue;
    const holder = el("div");
    const show = (metric, shown) => {
      const reference = found.arms.find((arm) => arm.kind === "reference");
      const gap = (arm, column) => (reference && arm !== reference ? difference(value(arm, metric, column), value(reference, metric, column)) : null);
      const gaps = found.arms.filter((arm) => arm.kind === "arm").flatMap((arm) => heads(found).map((_, i) => Math.abs(gap(arm, i) ?? 0)));
      const strongest = Math.max(0.02, quantile(gaps, 0.95));
      const columns = [{ key: "arm", title: "arm", text: (arm) => arm.name }];
      heads(found).forEach(([name, below], i) => columns.push({
        key: String(i), title: name, hint: below, number: true,
        sort: (arm) => value(arm, metric, i),
        text: (arm) => (shown === "difference" && gap(arm, i) !== null ? signed(gap(arm, i)) : number(value(arm, metric, i))),
        paint: (arm) => (arm.kind === "baseline" ? null : diverging(gap(arm, i), strongest)),
      }));
      const table = dataTable({ name: `${title} of ${evaluation.name}`, columns, rows: found.arms });
      table.node.querySelectorAll("thead th").forEach((head, i) => {
        if (i > 0) head.append(el("div", { class: "small" }, heads(found)[i - 1][1]));
      });
      holder.replaceChildren(table.node, copies(table, `${title} of ${evaluation.name}, ${metrics.find(([key]) => key === metric)[1]}`));
    };
    const state = { metric: metrics[0][0], shown: "score" };
    const controls = el("div", { class: "controls" });
    if (metrics.length > 1) {
      controls.append(choice("Show", metrics, state.metric, (metric) => {
        state.metric = metric;
        show(state.metric, state.shown);
      }));
    }
    controls.append(choice("as", [["score", "percent"], ["difference", "difference to the reference"]], state.shown, (shown) => {
      state.shown = shown;
      show(state.metric, state.shown);
    }));
    show(state.metric, state.shown);
    parts.push(heading(report, evaluation), controls, holder);
  }
  return parts.length === 0 ? null : { title, how, parts };
}

function difference(a, b) {
  return a === null || b === null || a === undefined || b === undefined ? null : a - b;
}

function quantile(values, share) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted.length === 0 ? 0 : sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
}
