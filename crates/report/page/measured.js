// Tables of further evaluations: calibration, labels, sources, anomalies, robustness, controls.

function measured(report) {
  const parts = [];
  for (const evaluation of report.evaluations) {
    if (evaluation.measured.length === 0) continue;
    parts.push(heading(report, evaluation), ...evaluation.measured.flatMap((found) => measuredTable(report, evaluation, found)));
  }
  if (parts.length === 0) return null;
  return {
    title: "Further evaluations",
    how: "evaluations beyond the standard protocol: mean \u00b1 standard deviation over seeds, shares in percent. All of them are descriptive: they have no p and no verdict.",
    parts,
  };
}

function measuredTable(report, evaluation, found) {
  const named = (title, key) => ({ key: title, title, text: (row) => row[key] });
  const columns = [named("arm", "name"), named("probe", "probe")];
  if (found.rows.some((row) => row.place !== "")) columns.push(named("of", "place"));
  found.metrics.forEach(([words, unit], i) => columns.push({
    key: words, title: words, number: true,
    sort: (row) => row.means[i],
    text: (row) => withSpread(row.means[i], row.over_seeds[i], unit),
  }));
  const title = `${found.title} on ${evaluation.name}`;
  const table = dataTable({ name: title, columns, rows: found.rows });
  const notes = found.notes.length > 0 ? el("p", { class: "small" }, `${found.notes.join("; ")}.`) : null;
  const level = report.evaluations.length > 1 ? "h4" : "h3";
  return [el(level, {}, found.title), el("p", { class: "how" }, found.how), table.node, notes, copies(table, title)].filter(Boolean);
}

function withSpread(mean, spread, unit) {
  const text = number(mean, unit);
  return text === "" || spread === null || spread === undefined ? text : `${text} \u00b1 ${number(spread, unit)}`;
}
