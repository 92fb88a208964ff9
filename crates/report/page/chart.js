// Curves and scatters: of training, of labels, of coverage, of size.

const CHART = { height: 300, left: 70, right: 26, top: 12, bottom: 42, most: 8 };

/** One section for each group of charts; a choice where a group has several. */
function charts(report) {
  const groups = new Map();
  for (const chart of report.charts) groups.set(chart.group, [...(groups.get(chart.group) ?? []), chart]);
  return [...groups].map(([title, found]) => {
    const holder = el("div");
    const alike = found.every((chart) => chart.how === found[0].how);
    const show = (index) => holder.replaceChildren(...chartOf(found[index], !alike));
    const parts = [holder];
    if (found.length > 1) {
      const options = found.map((chart, i) => [i, chart.title]);
      parts.unshift(el("div", { class: "controls" }, choice("Figure", options, 0, (index) => show(Number(index)))));
    }
    show(0);
    return { title, how: alike ? found[0].how : null, parts };
  });
}

function chartOf(chart, withHow) {
  const names = [...new Set(chart.series.map((series) => series.name))];
  const chosen = new Set(names.length > CHART.most ? names.slice(0, 1) : names);
  const figure = el("figure", { class: "chart" });
  const again = redrawn(figure, (width) => figure.replaceChildren(...chartFigure(chart, names, chosen, width)));
  const legend = legendOf(names, chosen, again);
  const hint = names.length > CHART.most ? el("p", { class: "small" }, "Chosen names are coloured, the others grey.") : null;
  const how = withHow ? el("p", { class: "how" }, sentence(chart.how)) : null;
  return [el("h3", {}, chart.title), how, hint, figure, legend].filter(Boolean);
}

function legendOf(names, chosen, changed) {
  const list = el("ul", { class: "legend" });
  names.forEach((name, i) => {
    const toggle = button("", () => {
      if (!chosen.delete(name)) chosen.add(name);
      toggle.setAttribute("aria-pressed", String(chosen.has(name)));
      changed();
    }, { "aria-pressed": String(chosen.has(name)), title: name });
    toggle.append(swatch(i), el("span", {}, name));
    list.append(el("li", {}, toggle));
  });
  return list;
}

function swatch(index) {
  const ink = COLOURS[index % COLOURS.length];
  const svg = draw("svg", { width: 14, height: 14, viewBox: "0 0 14 14", "aria-hidden": "true" });
  const forms = {
    circle: draw("circle", { cx: 7, cy: 7, r: 5 }),
    square: draw("rect", { x: 2.5, y: 2.5, width: 9, height: 9 }),
    triangle: draw("path", { d: "M 7 1.5 L 12.5 12 L 1.5 12 Z" }),
    cross: draw("path", { d: "M 5 1 H 9 V 5 H 13 V 9 H 9 V 13 H 5 V 9 H 1 V 5 H 5 Z" }),
  };
  const form = forms[shape(index)];
  form.setAttribute("style", `fill: ${ink}`);
  svg.append(form);
  return svg;
}

function chartFigure(chart, names, chosen, width) {
  const height = Math.min(CHART.height, Math.max(220, width * 0.6));
  const shown = chart.series.filter((series) => series.y.some((value) => value !== null));
  const flat = (key) => shown.flatMap((series) => series[key] ?? []).filter((value) => value !== null);
  const xs = flat("x");
  const ys = [...flat("y"), ...flat("lo"), ...flat("hi")];
  const along = axis(least(xs), most(xs), CHART.left, width - CHART.right, chart.log_x);
  const pad = 0.04 * (most(ys) - least(ys)) || 0.5;
  const up = axis(least(ys) - pad, most(ys) + pad, height - CHART.bottom, CHART.top, false);
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": chartWords(chart, names) });
  for (const tick of up.ticks(5)) {
    svg.append(draw("line", { class: "axis", x1: CHART.left, x2: width - CHART.right, y1: up.at(tick), y2: up.at(tick) }));
    svg.append(draw("text", { class: "muted", x: CHART.left - 6, y: up.at(tick) + 4, "text-anchor": "end" }, up.words(tick)));
  }
  for (const tick of along.ticks((width - 80) / 85)) {
    svg.append(draw("line", { class: "axis", x1: along.at(tick), x2: along.at(tick), y1: height - CHART.bottom, y2: height - CHART.bottom + 4 }));
    svg.append(draw("text", { class: "muted", x: along.at(tick), y: height - CHART.bottom + 17, "text-anchor": "middle" }, along.words(tick)));
  }
  svg.append(draw("text", { class: "muted", x: (CHART.left + width) / 2, y: height - 6, "text-anchor": "middle" }, chart.x));
  svg.append(draw("text", { class: "muted", x: 13, y: height / 2 - 14, "text-anchor": "middle", transform: `rotate(-90 13 ${height / 2 - 14})` }, chart.y));
  const placed = [];
  // The chosen ones last, so that they lie on top.
  for (const series of [...shown].sort((a, b) => chosen.has(a.name) - chosen.has(b.name))) {
    svg.append(seriesMarks(chart, series, names.indexOf(series.name), chosen, { along, up, width, placed }));
  }
  const tip = el("div", { class: "tip", hidden: true });
  const candidates = shown.filter((series) => chosen.has(series.name));
  svg.addEventListener("pointermove", (event) => nearestPoint(event, svg, { width, height, along, up, candidates, chart, tip }));
  svg.addEventListener("pointerleave", () => {
    tip.hidden = true;
  });
  return [svg, tip];
}

// Spreading a long list as arguments would overflow the stack.
function least(values) {
  return values.reduce((a, b) => Math.min(a, b), Infinity);
}

function most(values) {
  return values.reduce((a, b) => Math.max(a, b), -Infinity);
}

function axis(lo, hi, from, to, logarithmic) {
  const scale = logarithmic && lo > 0 ? Math.log10 : (value) => value;
  let [a, b] = [scale(lo), scale(hi)];
  if (!(b > a)) [a, b] = [a - 0.5, a + 0.5];
  return {
    at: (value) => from + ((scale(value) - a) / (b - a)) * (to - from),
    ticks: (count) => (scale === Math.log10 ? decades(a, b) : ticks(a, b, count)),
    words: (tick) => (scale === Math.log10 ? String(Number(tick.toPrecision(2))) : evenly(tick, b - a)),
  };
}

/** A tick with as many digits as its axis needs. */
function evenly(tick, span) {
  const size = Math.max(Math.abs(tick), span);
  if (size >= 1e5 || span < 1e-3) return tick === 0 ? "0" : tick.toExponential(1).replace("-", MINUS);
  return fixed(tick, span >= 10 ? 0 : span >= 1 ? 1 : span >= 0.1 ? 2 : 3);
}

function decades(a, b) {
  const factors = b - a > 2.5 ? [1] : b - a > 1 ? [1, 3] : [1, 2, 5];
  const found = [];
  for (let power = Math.floor(a); power <= b; power += 1) found.push(...factors.map((factor) => factor * 10 ** power));
  return found.filter((value) => Math.log10(value) >= a - 1e-9 && Math.log10(value) <= b + 1e-9);
}

/** The name of a point, where there is room for it beside the point and the names in `placed`. */
function nameBeside(name, x, y, { width, placed }) {
  const words = ellipsis(name, 24);
  const length = 6.8 * words.length;
  const box = ([isLeft, down]) => ({ isLeft, from: isLeft ? x - 8 - length : x + 8, to: isLeft ? x - 8 : x + 8 + length, y: y + 4 + down });
  const places = [0, 14, -14].flatMap((down) => [[false, down], [true, down]]).map(box).filter(({ from, to, y: at }) => from >= 0 && to <= width && at >= 11);
  const isFree = (a) => placed.every((b) => a.to < b.from || b.to < a.from || Math.abs(a.y - b.y) > 12);
  const found = places.find(isFree);
  // Without room the legend names it, and the pointer.
  if (!found) return null;
  placed.push(found);
  return draw("text", { x: found.isLeft ? x - 8 : x + 8, y: found.y, "text-anchor": found.isLeft ? "end" : "start" }, words);
}

function seriesMarks(chart, series, index, chosen, { along, up, width, placed }) {
  const isChosen = chosen.has(series.name);
  const ink = isChosen ? colour(index) : property("--line");
  const group = draw("g", {}, draw("title", {}, series.detail ? `${series.name}, ${series.detail}` : series.name));
  const points = series.x.map((x, i) => [x, series.y[i], i]).filter(([, y]) => y !== null);
  if (series.lo) {
    const edge = [...points.map(([x, , i]) => [x, series.hi[i]]), ...points.map(([x, , i]) => [x, series.lo[i]]).reverse()];
    if (isChosen) group.append(draw("path", { d: `${path(edge, along, up)} Z`, fill: ink, "fill-opacity": 0.13 }));
  }
  if (chart.kind === "line" && points.length > 1) {
    const dash = ["", "7 3", "2 3", "9 3 2 3"][SHAPES.indexOf(shape(index))];
    group.append(draw("path", { d: path(points, along, up), fill: "none", stroke: ink, "stroke-width": isChosen ? 1.6 : 1, "stroke-dasharray": dash, "stroke-linejoin": "round" }));
  } else {
    for (const [x, y] of points) {
      group.append(draw("circle", { cx: along.at(x), cy: up.at(y), r: isChosen ? 4.5 : 3, fill: ink }));
      const name = isChosen && chart.kind === "points" ? nameBeside(series.name, along.at(x), up.at(y), { width, placed }) : null;
      if (name) group.append(name);
    }
  }
  return group;
}

function path(points, along, up) {
  return points.map(([x, y], i) => `${i === 0 ? "M" : "L"} ${along.at(x).toFixed(1)} ${up.at(y).toFixed(1)}`).join(" ");
}

function nearestPoint(event, svg, { width, height, along, up, candidates, chart, tip }) {
  const box = svg.getBoundingClientRect();
  const [px, py] = [((event.clientX - box.left) * width) / box.width, ((event.clientY - box.top) * height) / box.height];
  let found = null;
  for (const series of candidates) {
    series.x.forEach((x, i) => {
      if (series.y[i] === null) return;
      const far = (along.at(x) - px) ** 2 + (up.at(series.y[i]) - py) ** 2;
      if (!found || far < found.far) found = { far, series, x, y: series.y[i] };
    });
  }
  tip.hidden = !found || found.far > 40 ** 2;
  if (tip.hidden) return;
  const name = found.series.detail ? `${found.series.name}, ${found.series.detail}` : found.series.name;
  tip.replaceChildren(el("strong", {}, name), el("div", {}, `${chart.x} ${short(found.x)}: ${short(found.y)}`));
  place(tip, along.at(found.x) * (box.width / width), up.at(found.y) * (box.height / height), box.width);
}

/** Puts a tip beside a place, inside the figure. */
function place(tip, x, y, width) {
  const room = Math.min(280, width);
  tip.style.left = `${Math.max(0, x + 14 + room > width ? Math.max(0, x - room) : x + 14)}px`;
  tip.style.top = `${Math.max(0, y + 12)}px`;
}

function chartWords(chart, names) {
  const listed = names.slice(0, 12).join(", ") + (names.length > 12 ? ` and ${names.length - 12} more` : "");
  return `${chart.title}: ${chart.y} over ${chart.x}, for ${listed}.`;
}
