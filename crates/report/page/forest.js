// Differences to the reference with their intervals: one row for each arm.

const FOREST = { row: 26, stacked: 44, axis: 40, edge: 12, head: 20, tall: 20 };

function forest(report) {
  const parts = [];
  for (const evaluation of report.evaluations) {
    const arms = evaluation.arms.filter((arm) => arm.difference);
    if (arms.length > 0) parts.push(heading(report, evaluation), ...forestOf(report, evaluation, arms));
  }
  if (parts.length === 0) return null;
  return {
    title: "Differences",
    how: `each row is an arm minus ${report.reference}. The ring is the estimate; the thin line with caps the ${Math.round(100 * report.level)} % interval over new ` +
      "seeds and new groups, the thick line the 90 % one, which must lie inside the green band to call the arm equivalent. " +
      "An arrow marks a line that continues beyond the figure. If a row has no interval, its verdict says why.",
    parts,
  };
}

function forestOf(report, evaluation, arms) {
  const figure = el("figure", { class: "chart" });
  const wide = extent(report, arms, false);
  const close = extent(report, arms, true);
  // One arm far away would squeeze all others: it is an arrow with a number then.
  const state = { order: "sweep", close: wide[1] - wide[0] > 2 * (close[1] - close[0]) };
  const again = redrawn(figure, (width) => {
    const range = state.close ? close : wide;
    figure.replaceChildren(forestFigure(report, evaluation, ordered(arms, state.order), range, width));
  });
  const orders = [["sweep", "as in the sweep"], ["difference", "by difference"], ["verdict", "by verdict"]];
  const controls = el("div", { class: "controls" }, choice("Order", orders, state.order, (order) => {
    state.order = order;
    again();
  }));
  if (state.close) {
    controls.append(choice("Range", [["close", "close to zero"], ["all", "all arms"]], "close", (range) => {
      state.close = range === "close";
      again();
    }));
  }
  return [controls, figure];
}

function ordered(arms, order) {
  const by = {
    sweep: () => 0,
    difference: (a, b) => b.difference.mean - a.difference.mean,
    verdict: (a, b) => Object.keys(VERDICTS).indexOf(a.verdict ?? "none") - Object.keys(VERDICTS).indexOf(b.verdict ?? "none"),
  }[order];
  return [...arms].sort((a, b) => (a.kind === "baseline") - (b.kind === "baseline") || by(a, b));
}

/** From where to where the axis goes: all arms, or those not far beyond the usual. Baselines may lie outside. */
function extent(report, arms, close) {
  const compared = arms.filter((arm) => arm.kind !== "baseline");
  const ends = (compared.length > 0 ? compared : arms).map(({ difference: d }) => {
    const [lo, hi] = d.interval ?? [d.mean, d.mean];
    return Math.max(Math.abs(lo), Math.abs(hi));
  }).sort((a, b) => a - b);
  const usual = 4 * ends[Math.floor((ends.length - 1) / 2)];
  const reach = close ? most(ends.filter((end) => end <= usual)) : null;
  let [lo, hi] = [-1.6 * report.margin, 1.6 * report.margin];
  for (const { difference: d } of compared.length > 0 ? compared : arms) {
    const [from, to] = d.interval ?? [d.mean, d.mean];
    lo = Math.min(lo, reach === null ? from : Math.max(from, -reach));
    hi = Math.max(hi, reach === null ? to : Math.min(to, reach));
  }
  const pad = 0.04 * (hi - lo);
  return [lo - pad, hi + pad];
}

function forestFigure(report, evaluation, arms, [lo, hi], width) {
  const stacked = width < 700;
  const names = stacked ? 0 : Math.min(250, Math.max(90, 7.2 * Math.max(...arms.map((arm) => arm.name.length)) + 16));
  const figures = stacked ? 0 : 290;
  const [left, right] = [names + FOREST.edge, width - figures - FOREST.edge];
  const x = (value) => left + ((value - lo) / (hi - lo)) * (right - left);
  const row = stacked ? FOREST.stacked : FOREST.row;
  // A tall figure has its numbers above the rows too.
  const head = arms.length > FOREST.tall ? FOREST.head : 0;
  const height = head + arms.length * row + FOREST.axis;
  const bottom = height - FOREST.axis;
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": forestWords(report, evaluation, arms) });
  for (let i = 0; i < arms.length; i += 2) svg.append(draw("rect", { class: "strip", x: 0, y: head + i * row, width, height: row }));
  const unit = evaluation.primary.unit;
  if (unit === "fraction") {
    svg.append(draw("rect", { class: "band", x: x(-report.margin), y: head, width: x(report.margin) - x(-report.margin), height: bottom - head }));
  }
  svg.append(draw("line", { class: "zero", x1: x(0), x2: x(0), y1: head, y2: bottom }));
  for (const tick of ticks(lo, hi, (right - left) / 70)) {
    svg.append(draw("line", { class: "axis", x1: x(tick), x2: x(tick), y1: head, y2: bottom + 4, "stroke-dasharray": "2 4" }));
    for (const y of head > 0 ? [head - 7, bottom + 17] : [bottom + 17]) {
      svg.append(draw("text", { class: "muted", x: x(tick), y, "text-anchor": "middle" }, shortTick(tick, unit)));
    }
  }
  const below = `Difference to ${report.reference}, ${unit === "fraction" ? "points" : "units"}`;
  svg.append(draw("text", { class: "muted", x: (left + right) / 2, y: height - 4, "text-anchor": "middle" }, ellipsis(below, Math.floor(width / 7))));
  arms.forEach((arm, place) => svg.append(forestRow(arm, { stacked, x, left, right, width, unit, top: head + place * row, row })));
  return svg;
}

function shortTick(value, unit) {
  const shown = unit === "fraction" ? 100 * value : value;
  const text = String(Number(Math.abs(shown).toPrecision(4)));
  return shown < 0 && text !== "0" ? MINUS + text : shown > 0 && text !== "0" ? `+${text}` : "0";
}

function forestRow(arm, at) {
  const { difference: d } = arm;
  const verdict = arm.verdict ?? "none";
  const ink = arm.kind === "baseline" ? property("--muted") : property(`--${verdict === "none" ? "undecided" : verdict}`);
  const y = at.top + (at.stacked ? 32 : at.row / 2);
  const group = draw("g", {}, draw("title", {}, `${arm.name}: ${figuresOf(arm, at.unit)}`));
  const name = ellipsis(arm.name, at.stacked ? Math.floor((at.width - 165) / 7) : Math.floor((at.left - 10) / 7));
  group.append(draw("text", { x: 4, y: at.stacked ? at.top + 15 : y + 4, class: arm.kind === "baseline" ? "muted" : null }, name));
  if (d.interval) group.append(...whiskers(d.interval, y, ink, at, 1.6, 6));
  if (d.equivalence_interval) group.append(...whiskers(d.equivalence_interval, y, ink, at, 5, 0));
  if (isInside(d.mean, at)) {
    // A ring, so that an interval narrower than the mark is seen inside it.
    group.append(draw("circle", { cx: at.x(d.mean), cy: y, r: 5.5, fill: "none", stroke: ink, "stroke-width": 1.8 }));
    // The estimate itself, where that leaves the interval to be seen.
    const [from, to] = (d.equivalence_interval ?? d.interval ?? [d.mean, d.mean]).map(at.x);
    if (to - from > 14) {
      group.append(draw("line", { x1: at.x(d.mean), x2: at.x(d.mean), y1: y - 5, y2: y + 5, stroke: property("--bg"), "stroke-width": 1.2 }));
    }
  } else {
    group.append(arrow(d.mean < 0 ? at.left : at.right, y, d.mean < 0 ? -1 : 1, ink));
  }
  const text = at.stacked ? `${signed(d.mean, at.unit)} ${d.interval ? interval(d.interval, at.unit) : "no interval"}` : figuresOf(arm, at.unit);
  group.append(draw("text", { x: at.width - 4, y: at.stacked ? at.top + 15 : y + 4, "text-anchor": "end", fill: ink, style: `fill:${ink}` }, text));
  return group;
}

function isInside(value, at) {
  const place = at.x(value);
  return place >= at.left - 1 && place <= at.right + 1;
}

function whiskers([from, to], y, ink, at, thickness, cap) {
  // A line is seen however narrow the interval is.
  let [x1, x2] = [at.x(from), at.x(to)];
  if (x2 < at.left || x1 > at.right) return [arrow(x2 < at.left ? at.left : at.right, y, x2 < at.left ? -1 : 1, ink)];
  if (x2 - x1 < 1.5) [x1, x2] = [(x1 + x2) / 2 - 0.75, (x1 + x2) / 2 + 0.75];
  const marks = [draw("line", { x1: Math.max(x1, at.left), x2: Math.min(x2, at.right), y1: y, y2: y, stroke: ink, "stroke-width": thickness })];
  for (const [end, side] of [[x1, -1], [x2, 1]]) {
    const outside = end < at.left - 0.5 || end > at.right + 0.5;
    if (outside) marks.push(arrow(side < 0 ? at.left : at.right, y, side, ink));
    else if (cap) marks.push(draw("line", { x1: end, x2: end, y1: y - cap, y2: y + cap, stroke: ink, "stroke-width": thickness }));
  }
  return marks;
}

function arrow(x, y, side, ink) {
  return draw("path", { d: `M ${x} ${y - 5} L ${x + 8 * side} ${y} L ${x} ${y + 5} Z`, fill: ink });
}

function figuresOf(arm, unit) {
  const { difference: d } = arm;
  const words = arm.verdict && arm.verdict !== "none" ? ` ${VERDICTS[arm.verdict]}` : "";
  return `${signed(d.mean, unit)} ${d.interval ? interval(d.interval, unit) : "no interval"}${words}`;
}

function forestWords(report, evaluation, arms) {
  const shown = arms.slice(0, 12).map((arm) => `${arm.name} ${figuresOf(arm, evaluation.primary.unit)}`);
  const more = arms.length > 12 ? `; and ${arms.length - 12} more, which the table below lists` : "";
  return `Differences to ${report.reference} on ${evaluation.name}: ${shown.join("; ")}${more}.`;
}

function ellipsis(text, most) {
  return text.length <= most ? text : `${text.slice(0, Math.ceil(most / 2) - 1)}\u2026${text.slice(text.length - Math.floor(most / 2) + 1)}`;
}
