// The map of features: one point for each cell, a tip under the pointer, a lasso that opens a contact sheet.

const MAP = { sheet: 240, pick: 14, grid: 48, step: 12 };

function maps(report) {
  const parts = [];
  for (const evaluation of report.evaluations) {
    const found = evaluation.map;
    if (found) parts.push(heading(report, evaluation), el("p", { class: "small" }, found.note), ...mapOf(evaluation, found));
  }
  if (parts.length === 0) return null;
  return {
    title: "Feature map",
    how: "each point is a cell; near points have similar features. Distances between far groups mean little, and neither do their sizes. " +
      "Draw around points to see their pictures and classes. With the keyboard: arrows move the cross, Enter takes the points around it, Escape lets go.",
    parts,
  };
}

/** Ways to colour the points: names of the values, and the value of each point. */
function colourings(map) {
  const named = [];
  const add = (title, names, values) => {
    if (names && values && names.length > 0) named.push({ title, names, values });
  };
  add("class", map.classes, map.truth);
  add("predicted class", map.classes, map.predicted);
  add("source", map.sources, map.source);
  add("fold", map.folds, map.fold);
  if (map.predicted) add("correctness", ["right", "wrong"], map.truth.map((truth, i) => (truth === map.predicted[i] ? 0 : 1)));
  for (const other of map.others ?? []) add(other.title, other.names, other.values);
  return named;
}

function mapOf(evaluation, map) {
  const atlas = atlasOf(evaluation);
  const ways = colourings(map);
  const canvas = el("canvas", { tabindex: 0, role: "application", "aria-label": `Map of ${thousands(map.x.length)} cells of ${evaluation.name}` });
  const tip = el("div", { class: "tip", hidden: true });
  const side = el("div", { class: "sheet" });
  const legend = el("div");
  const state = {
    map, atlas, ways, way: ways[0], canvas, tip, side, chosen: new Set(ways[0].names), chosenPoints: null, lasso: null, cross: null,
    view: { zoom: 1, x: 0, y: 0 }, pan: null, mode: "lasso",
  };
  const holder = el("div", { class: "map" }, el("div", { class: "chart" }, canvas, tip), side);
  const again = redrawn(canvas, () => paint(state));
  state.again = again;
  // A pointer moves more often than a screen shows.
  state.soon = () => {
    state.waiting ??= requestAnimationFrame(() => {
      state.waiting = null;
      again();
    });
  };
  const recolour = (title) => {
    state.way = ways.find((way) => way.title === title);
    state.chosen = new Set(state.way.names);
    legend.replaceChildren(legendOf(state.way.names, state.chosen, again));
    again();
    sheet(state);
  };
  const modes = ["lasso", "move"].map((mode) => button(mode === "lasso" ? "Lasso" : "Move", () => {
    state.mode = mode;
    modes.forEach((other, i) => other.setAttribute("aria-pressed", String(["lasso", "move"][i] === mode)));
    holder.classList.add("drawing");
  }, { "aria-pressed": String(mode === "lasso") }));
  const zoom = (factor) => {
    state.view.zoom = Math.min(40, Math.max(1, state.view.zoom * factor));
    if (state.view.zoom === 1) [state.view.x, state.view.y] = [0, 0];
    again();
  };
  const controls = el("div", { class: "controls" }, choice("Colour by", ways.map((way) => way.title), state.way.title, recolour), modes,
    button("+", () => zoom(1.5), { "aria-label": "Zoom in" }), button("\u2212", () => zoom(1 / 1.5), { "aria-label": "Zoom out" }),
    button("Let go", () => pick(state, null)));
  listen(state);
  recolour(state.way.title);
  return [controls, legend, holder];
}

/** Positions on the canvas, in its own pixels. */
function project(state) {
  const { map, canvas, view } = state;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  if (!state.bounds) {
    const [x0, x1, y0, y1] = [least(map.x), most(map.x), least(map.y), most(map.y)];
    state.bounds = { cx: (x0 + x1) / 2, cy: (y0 + y1) / 2, spread: [x1 - x0 || 1, y1 - y0 || 1] };
  }
  const { cx, cy, spread } = state.bounds;
  // Both axes have one scale: a map has no units, but its shape must not be stretched.
  const scale = 0.94 * view.zoom * Math.min(width / spread[0], height / spread[1]);
  const px = new Float32Array(map.x.length);
  const py = new Float32Array(map.x.length);
  for (let i = 0; i < px.length; i += 1) {
    px[i] = width / 2 + (map.x[i] - cx) * scale + view.x;
    py[i] = height / 2 - (map.y[i] - cy) * scale + view.y;
  }
  Object.assign(state, { px, py, near: gridOf(px, py, width, height), width, height });
}

/** Points by cells of a grid, so that the nearest one is found without looking at all. */
function gridOf(px, py, width, height) {
  const cells = new Map();
  for (let i = 0; i < px.length; i += 1) {
    if (px[i] < 0 || py[i] < 0 || px[i] > width || py[i] > height) continue;
    const key = Math.floor(px[i] / MAP.grid) * 4096 + Math.floor(py[i] / MAP.grid);
    const held = cells.get(key);
    if (held) held.push(i);
    else cells.set(key, [i]);
  }
  return cells;
}

function around(state, x, y, reach) {
  const found = [];
  for (let column = Math.floor((x - reach) / MAP.grid); column <= Math.floor((x + reach) / MAP.grid); column += 1) {
    for (let row = Math.floor((y - reach) / MAP.grid); row <= Math.floor((y + reach) / MAP.grid); row += 1) {
      for (const i of state.near.get(column * 4096 + row) ?? []) {
        const far = Math.hypot(state.px[i] - x, state.py[i] - y);
        if (far <= reach && isShown(state, i)) found.push([far, i]);
      }
    }
  }
  return found.sort((a, b) => a[0] - b[0]).map(([, i]) => i);
}

function isShown(state, i) {
  return state.chosen.has(state.way.names[state.way.values[i]]);
}

function paint(state) {
  project(state);
  const { canvas, px, py, way } = state;
  const density = window.devicePixelRatio || 1;
  canvas.width = Math.round(state.width * density);
  canvas.height = Math.round(state.height * density);
  const context = canvas.getContext("2d");
  context.scale(density, density);
  const radius = Math.max(1.6, Math.min(4.5, 260 / Math.sqrt(px.length))) * Math.min(1.8, Math.sqrt(state.view.zoom));
  const groups = way.names.map(() => []);
  const rest = [];
  for (let i = 0; i < px.length; i += 1) {
    if (px[i] < -5 || py[i] < -5 || px[i] > state.width + 5 || py[i] > state.height + 5) continue;
    (isShown(state, i) ? groups[way.values[i]] : rest).push(i);
  }
  const dim = state.chosenPoints !== null;
  const paintPoints = (points, ink, alpha, form) => {
    context.fillStyle = ink;
    context.globalAlpha = alpha;
    for (const i of points) mark(context, form, px[i], py[i], radius);
  };
  paintPoints(rest, property("--line"), 0.6, "circle");
  groups.forEach((points, value) => paintPoints(points, colour(value), dim ? 0.18 : 0.75, shape(value)));
  if (dim) {
    for (const i of state.chosenPoints) paintPoints([i], colour(way.values[i]), 1, shape(way.values[i]));
  }
  context.globalAlpha = 1;
  context.strokeStyle = property("--fg");
  if (state.lasso && state.lasso.length > 1) {
    context.setLineDash([5, 4]);
    context.beginPath();
    state.lasso.forEach(([x, y], i) => (i === 0 ? context.moveTo(x, y) : context.lineTo(x, y)));
    context.closePath();
    context.stroke();
    context.setLineDash([]);
  }
  if (state.cross) {
    const [x, y] = state.cross;
    context.lineWidth = 1.5;
    context.beginPath();
    context.moveTo(x - 9, y);
    context.lineTo(x + 9, y);
    context.moveTo(x, y - 9);
    context.lineTo(x, y + 9);
    context.moveTo(x + 40, y);
    context.arc(x, y, 40, 0, 2 * Math.PI);
    context.stroke();
  }
}

function mark(context, form, x, y, r) {
  context.beginPath();
  if (form === "circle") context.arc(x, y, r, 0, 2 * Math.PI);
  else if (form === "square") context.rect(x - r, y - r, 2 * r, 2 * r);
  else if (form === "triangle") {
    context.moveTo(x, y - 1.3 * r);
    context.lineTo(x + 1.3 * r, y + r);
    context.lineTo(x - 1.3 * r, y + r);
  } else {
    context.rect(x - 1.4 * r, y - 0.5 * r, 2.8 * r, r);
    context.rect(x - 0.5 * r, y - 1.4 * r, r, 2.8 * r);
  }
  context.fill();
}

function listen(state) {
  const { canvas } = state;
  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    if (event.pointerType !== "touch" || canvas.closest(".drawing")) canvas.setPointerCapture(event.pointerId);
    if (state.mode === "move" || event.shiftKey) state.pan = at(event);
    else state.lasso = [at(event)];
    state.cross = null;
  });
  canvas.addEventListener("pointermove", (event) => {
    const [x, y] = at(event);
    if (state.lasso) {
      state.lasso.push([x, y]);
      state.soon();
    } else if (state.pan) {
      state.view.x += x - state.pan[0];
      state.view.y += y - state.pan[1];
      state.pan = [x, y];
      state.soon();
    } else hover(state, x, y);
  });
  canvas.addEventListener("pointerup", (event) => {
    const drawn = state.lasso;
    Object.assign(state, { lasso: null, pan: null });
    if (drawn && drawn.length > 4) pick(state, inside(state, drawn));
    else if (drawn) hover(state, ...at(event));
  });
  canvas.addEventListener("pointercancel", () => {
    Object.assign(state, { lasso: null, pan: null });
    state.again();
  });
  canvas.addEventListener("pointerleave", () => {
    state.tip.hidden = true;
  });
  canvas.addEventListener("keydown", (event) => key(state, event));
}

function key(state, event) {
  const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const [x, y] = state.cross ?? [state.width / 2, state.height / 2];
  if (steps[event.key]) {
    const size = MAP.step * (event.shiftKey ? 4 : 1);
    state.cross = [Math.min(state.width, Math.max(0, x + size * steps[event.key][0])), Math.min(state.height, Math.max(0, y + size * steps[event.key][1]))];
    state.again();
    const nearest = hover(state, ...state.cross);
    if (nearest !== null) say(wordsOf(state, nearest));
  } else if (event.key === "Enter" || event.key === " ") pick(state, around(state, x, y, 40));
  else if (event.key === "Escape") {
    state.cross = null;
    pick(state, null);
  } else return;
  event.preventDefault();
}

function hover(state, x, y) {
  const [nearest = null] = around(state, x, y, MAP.pick);
  state.tip.hidden = nearest === null;
  if (nearest === null) return null;
  const parts = [];
  if (state.map.tile) parts.push(tile(state.atlas, state.map.tile[nearest], 96, wordsOf(state, nearest), isWrong(state.map, nearest)));
  parts.push(...linesOf(state, nearest).map((line, i) => el("div", {}, i === 0 ? el("strong", {}, line) : line)));
  state.tip.replaceChildren(...parts);
  place(state.tip, state.px[nearest], state.py[nearest], state.width);
  return nearest;
}

function isWrong(map, i) {
  return Boolean(map.predicted) && map.truth[i] !== map.predicted[i];
}

function linesOf({ map }, i) {
  const lines = [map.classes[map.truth[i]]];
  if (map.predicted) lines.push(`predicted ${map.classes[map.predicted[i]]}`);
  const where = [];
  if (map.source) where.push(map.sources[map.source[i]]);
  if (map.fold) where.push(`fold ${map.folds[map.fold[i]]}`);
  if (where.length > 0) lines.push(where.join(", "));
  return lines;
}

function wordsOf(state, i) {
  return linesOf(state, i).join(", ");
}

/** The points inside a polygon, by counting how often a ray crosses it. */
function inside(state, polygon) {
  const found = [];
  for (let i = 0; i < state.px.length; i += 1) {
    if (!isShown(state, i)) continue;
    const [x, y] = [state.px[i], state.py[i]];
    let isIn = false;
    for (let a = 0, b = polygon.length - 1; a < polygon.length; b = a, a += 1) {
      const [[xa, ya], [xb, yb]] = [polygon[a], polygon[b]];
      if (ya > y !== yb > y && x < ((xb - xa) * (y - ya)) / (yb - ya) + xa) isIn = !isIn;
    }
    if (isIn) found.push(i);
  }
  return found;
}

function pick(state, points) {
  state.chosenPoints = points && points.length > 0 ? points : null;
  state.tip.hidden = true;
  state.again();
  sheet(state);
  say(state.chosenPoints ? `${points.length} cells chosen` : "No cells chosen");
}

/** The contact sheet of the chosen points, and how their classes are mixed. */
function sheet(state) {
  const { side, map, chosenPoints: points, way } = state;
  if (!points) {
    side.replaceChildren(el("p", { class: "small screen" }, "Draw around some points to see them here."));
    return;
  }
  const counts = new Map();
  for (const i of points) counts.set(way.values[i], (counts.get(way.values[i]) ?? 0) + 1);
  const all = way.values.reduce((held, value) => held.set(value, (held.get(value) ?? 0) + 1), new Map());
  const rows = [...counts].sort((a, b) => b[1] - a[1]).map(([value, count]) => ({ name: way.names[value], count, share: count / points.length, of: count / all.get(value) }));
  const table = dataTable({ name: "What was chosen", rows, columns: [
    { key: "name", title: way.title },
    { key: "count", title: "cells", number: true, text: (row) => thousands(row.count) },
    { key: "share", title: "% of these", number: true, text: (row) => number(row.share) },
    { key: "of", title: "% of all such", number: true, text: (row) => number(row.of) },
  ] });
  const parts = [el("h3", {}, `${thousands(points.length)} cells chosen`), table.node];
  if (map.tile && state.atlas) {
    const shown = points.length <= MAP.sheet ? points : points.filter((_, i) => Math.floor((i * MAP.sheet) / points.length) !== Math.floor(((i - 1) * MAP.sheet) / points.length));
    if (shown.length < points.length) parts.push(el("p", { class: "small" }, `${shown.length} of them, evenly taken:`));
    parts.push(el("ul", { class: "tiles dense" }, shown.map((i) => el("li", {}, tile(state.atlas, map.tile[i], 52, wordsOf(state, i), isWrong(map, i))))));
  }
  side.replaceChildren(...parts);
}
