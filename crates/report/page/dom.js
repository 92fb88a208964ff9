// Elements, texts and numbers. Everything that comes from the data becomes a text node: a name never becomes markup.

/** An element with attributes and children. A function as an attribute listens to the event of that name. */
function el(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
function draw(tag, attributes = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name, value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** The same with a capital at its beginning. */
function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** Tells people who hear the page what has changed. */
function say(text) {
  document.getElementById("said").textContent = text;
}

let ids = 0;
function newId(stem) {
  ids += 1;
  return `${stem}-${ids}`;
}

/** A labelled choice. `options` are [value, words] or words alone. */
function choice(label, options, chosen, changed) {
  const select = el("select", { change: () => changed(select.value) });
  for (const option of options) {
    const [value, words] = Array.isArray(option) ? option : [option, option];
    select.append(el("option", { value, selected: String(value) === String(chosen) }, String(words)));
  }
  return el("label", {}, label, select);
}

function button(words, clicked, attributes = {}) {
  return el("button", { type: "button", click: clicked, ...attributes }, words);
}

/** A part of the page that scrolls by itself and can be reached by keyboard. */
function scrolling(name, content, tall = false) {
  return el("div", { class: tall ? "scroll tall" : "scroll", tabindex: 0, role: "region", "aria-label": name }, content);
}

const MINUS = "\u2212";

function fixed(value, digits) {
  const text = Math.abs(value).toFixed(digits);
  return value < 0 && Number(text) !== 0 ? MINUS + text : text;
}

/** A number of a metric: fractions as percent, others as they are. */
function number(value, unit = "fraction") {
  if (value === null || value === undefined) return "";
  if (unit === "fraction") return fixed(100 * value, 1);
  const size = Math.abs(value);
  return value !== 0 && size < 1e-3 ? short(value) : fixed(value, size < 10 ? 3 : 1);
}

function signed(value, unit = "fraction") {
  const text = number(value, unit);
  return text === "" || text.startsWith(MINUS) || Number(text) === 0 ? text : `+${text}`;
}

function interval(range, unit = "fraction") {
  return range ? `[${signed(range[0], unit)}, ${signed(range[1], unit)}]` : "";
}

function pValue(p) {
  if (p === null || p === undefined) return "";
  return p < 0.001 ? "< 0.001" : p.toFixed(3);
}

function thousands(count) {
  return String(count).replace(/\B(?=(\d{3})+(?!\d))/g, "\u202f");
}

/** A number with three digits, whatever its size. */
function short(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-3) return value.toExponential(1).replace("-", MINUS);
  return fixed(value, size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3);
}

/** Copies a text, and shows it where the browser does not let us. */
async function copy(text, what, beside) {
  const shown = beside.querySelector("pre.copied");
  if (shown) shown.remove();
  try {
    await navigator.clipboard.writeText(text);
    say(`${what} copied`);
  } catch {
    beside.append(el("pre", { class: "copied", tabindex: 0, "aria-label": what }, text));
    say(`${what} is shown for copying`);
  }
}

// Okabe and Ito's colours, which people with any kind of colour blindness tell apart; the black one follows the scheme.
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c8c00", "var(--black)"];
const SHAPES = ["circle", "square", "triangle", "cross"];

function colour(index) {
  const found = COLOURS[index % COLOURS.length];
  return found.startsWith("var") ? property("--black") : found;
}

/** The shape that tells apart what shares a colour. */
function shape(index) {
  return SHAPES[Math.floor(index / COLOURS.length) % SHAPES.length];
}

function property(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** Round positions of an axis from `lo` to `hi`, about `count` of them. */
function ticks(lo, hi, count) {
  const rough = (hi - lo) / Math.max(count, 1);
  if (!(rough > 0)) return [lo];
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough * 0.999);
  const found = [];
  for (let i = Math.ceil(lo / step - 1e-9); i * step <= hi + step * 1e-9; i += 1) found.push(i * step);
  return found;
}

/** Draws now, and again where the width or the colour scheme has changed. */
function redrawn(holder, render) {
  let width = 0;
  const again = () => {
    const found = Math.round(holder.clientWidth);
    if (found > 0) {
      width = found;
      render(width);
    }
  };
  new ResizeObserver(() => {
    if (Math.round(holder.clientWidth) !== width) again();
  }).observe(holder);
  SCHEMES.push(again);
  return again;
}

const SCHEMES = [];
