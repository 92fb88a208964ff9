// Pictures of cells from a sprite atlas: many small pictures in a few large ones.

/** Makes an atlas usable: one style rule for each sheet, so that the picture is held once. */
function atlasOf(evaluation) {
  const { atlas } = evaluation;
  if (!atlas) return null;
  if (!atlas.classes) {
    const style = el("style");
    atlas.classes = atlas.sheets.map((sheet) => {
      const name = newId("sheet");
      style.append(`.${name} { background-image: url("${sheet.image}"); }\n`);
      return name;
    });
    document.head.append(style);
  }
  return atlas;
}

/** The picture of tile `index`, `size` pixels wide; `words` describe it to who does not see it. */
function tile(atlas, index, size, words, wrong = false) {
  const at = atlas && index !== null && index !== undefined ? atlas.sheets.findIndex((sheet) => index >= sheet.first && index < sheet.first + sheet.count) : -1;
  const box = `width: ${size}px; height: ${size}px;`;
  if (at < 0) return el("span", { class: "tile", role: "img", "aria-label": `${words}; no picture is kept`, style: box });
  const sheet = atlas.sheets[at];
  const place = index - sheet.first;
  const rows = Math.ceil(sheet.count / sheet.columns);
  const [column, row] = [place % sheet.columns, Math.floor(place / sheet.columns)];
  const style = `${box} background-size: ${sheet.columns * size}px ${rows * size}px; background-position: ${-column * size}px ${-row * size}px;`;
  return el("span", { class: `tile ${atlas.classes[at]}${wrong ? " wrong" : ""}`, role: "img", "aria-label": words, title: words, style });
}

function mistakes(report) {
  const parts = [];
  for (const evaluation of report.evaluations) {
    const groups = evaluation.mistakes ?? [];
    if (groups.length === 0) continue;
    const atlas = atlasOf(evaluation);
    const holder = el("div");
    const note = el("p", { class: "small" });
    const show = (index) => {
      note.textContent = groups[index].how;
      const { cells } = groups[index];
      holder.replaceChildren(atlas ? el("ul", { class: "tiles" }, cells.map((cell) => mistake(atlas, cell))) : listed(cells));
    };
    parts.push(heading(report, evaluation));
    parts.push(el("div", { class: "controls" }, choice("Show", groups.map((group, i) => [i, group.title]), 0, (index) => show(Number(index)))), note, holder);
    show(0);
  }
  if (parts.length === 0) return null;
  return {
    title: "Mistakes",
    how: "cells that the primary probe got wrong, the surest mistakes first: the true class, what was predicted, and how sure the probe was. " +
      "Some of them are wrong labels rather than wrong predictions.",
    parts,
  };
}

/** Mistakes without pictures. */
function listed(cells) {
  return dataTable({ name: "Mistakes", rows: cells, columns: [
    { key: "truth", title: "true class" }, { key: "predicted", title: "predicted" },
    { key: "probability", title: "% sure", number: true, text: (cell) => number(cell.probability) },
    { key: "source", title: "source" }, { key: "group", title: "image or patient" },
    { key: "tile", title: "cell", number: true, hint: "number of the cell in the evaluation set, from 0" },
  ] }).node;
}

function mistake(atlas, cell) {
  const sure = cell.probability === null ? "" : `, ${Math.round(100 * cell.probability)} % sure`;
  const words = `${cell.truth}, predicted ${cell.predicted}${sure}`;
  const picture = tile(atlas, cell.tile, 112, words, true);
  return el("li", {}, picture, el("div", {}, el("strong", {}, cell.truth)), el("div", {}, `predicted ${cell.predicted}${sure}`),
    el("div", { class: "small" }, [cell.source, cell.group].filter(Boolean).join(", ")));
}
