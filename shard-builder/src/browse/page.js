"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const shownAtOnce = 600;
const make = (name, text, attributes = {}) => {
  const element = document.createElement(name);
  if (text) element.textContent = text;
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
};
const columns = [
  { key: "source", title: "Source", none: "" },
  { key: "label", title: "Label", none: "no label" },
  { key: "role", title: "Used for", none: "not said" },
  { key: "flaws", title: "Quality", none: "no flaw" },
];
const filters = document.getElementById("filters");
const tiles = document.getElementById("tiles");
const more = document.getElementById("more");
const detail = document.getElementById("detail");
const choices = {};
// One rule a sheet: the picture is in memory once, however many tiles show parts of it.
document.head.append(make("style", data.sheets.map((sheet, place) => `.sheet-${place}{background-image:url(${sheet.url})}`).join("\n")));
for (const { key, title, none } of columns) {
  const counts = new Map();
  for (const row of data.rows) counts.set(row[key], (counts.get(row[key]) || 0) + 1);
  if (counts.size < 2) continue;
  const select = make("select", "", { name: key });
  select.append(make("option", `all (${data.rows.length})`, { value: "" }));
  for (const [value, count] of [...counts].sort((a, b) => a[0] - b[0])) {
    select.append(make("option", `${data.names[value] || none} (${count})`, { value: String(value) }));
  }
  const label = make("label", title);
  label.append(select);
  filters.append(label);
  choices[key] = select;
}
const copies = make("select", "", { name: "copies" });
for (const [value, text] of [["", "all"], ["1", "of images with copies"], ["0", "of images without"]]) copies.append(make("option", text, { value }));
const text = make("input", "", { type: "search", name: "text", placeholder: "part of a path or group" });
for (const [title, element] of [["Copies", copies], ["Search", text]]) {
  const label = make("label", title);
  label.append(element);
  filters.append(label);
}
document.getElementById("about").textContent = data.about;

let chosen = [];
let shown = 0;
const wanted = (row) => {
  for (const [key, select] of Object.entries(choices)) if (select.value !== "" && row[key] !== Number(select.value)) return false;
  if (copies.value !== "" && (row.copies.length > 0) !== (copies.value === "1")) return false;
  const words = text.value.trim().toLowerCase();
  return !words || data.names[row.image].toLowerCase().includes(words) || data.names[row.group].toLowerCase().includes(words);
};
const tile = (row, number) => {
  const button = make("button", "", { class: "tile", type: "button", "aria-pressed": "false" });
  button.classList.toggle("flawed", data.names[row.flaws] !== "");
  button.classList.toggle("copy", row.copies.length > 0);
  const place = data.sheets.findLastIndex((one) => one.first <= number);
  const sheet = data.sheets[place];
  const picture = make("span", "", { class: `picture sheet-${place}` });
  const at = number - sheet.first;
  const side = data.tile;
  picture.style.cssText = `width:${side}px;height:${side}px;background-position:-${(at % sheet.columns) * side}px -${Math.floor(at / sheet.columns) * side}px`;
  const name = data.names[row.label] || "no label";
  button.append(picture, make("span", name, { class: "name" }));
  button.setAttribute("aria-label", `${name}, ${data.names[row.source]}, ${data.names[row.image]}`);
  button.addEventListener("click", () => show(row, button));
  return button;
};
const show = (row, button) => {
  for (const pressed of tiles.querySelectorAll("[aria-pressed=true]")) pressed.setAttribute("aria-pressed", "false");
  button.setAttribute("aria-pressed", "true");
  const list = make("dl");
  const facts = [
    ["source", data.names[row.source]], ["image", data.names[row.image]], ["place", `${row.x}, ${row.y}, ${row.w} × ${row.h} px`],
    ["group", data.names[row.group]], ["label", data.names[row.label] || "none"], ["used for", data.names[row.role]],
    ["quality", data.names[row.flaws] || "no flaw"], ["row", String(row.row)],
    ["copies of its image", row.copies.map((copy) => data.names[copy]).join("; ")],
  ];
  for (const [name, value] of facts) if (value) list.append(make("dt", name), make("dd", value));
  detail.replaceChildren(list);
  detail.hidden = false;
};
const add = () => {
  const next = chosen.slice(shown, shown + shownAtOnce);
  tiles.append(...next.map(([row, number]) => tile(row, number)));
  shown += next.length;
  more.hidden = shown >= chosen.length;
};
const draw = () => {
  chosen = data.rows.map((row, number) => [row, number]).filter(([row]) => wanted(row));
  shown = 0;
  tiles.replaceChildren();
  detail.hidden = true;
  document.getElementById("count").textContent = `${chosen.length} of ${data.rows.length} rows`;
  add();
};
filters.addEventListener("input", draw);
filters.addEventListener("submit", (event) => event.preventDefault());
more.addEventListener("click", add);
draw();
