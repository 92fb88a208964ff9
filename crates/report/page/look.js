// What models see in images: sheets of pictures, each of which says how it is to be read.

function look(report) {
  const found = report.look;
  if (!found || found.sheets.length === 0) return null;
  const holder = el("div");
  const show = (index) => holder.replaceChildren(...lookSheet(found.sheets[index]));
  const parts = [facts(found.facts)];
  if (found.sheets.length > 1) {
    const options = found.sheets.map((sheet, i) => [i, sheet.title]);
    parts.push(el("div", { class: "controls" }, choice("Sheet", options, 0, (index) => show(Number(index)))));
  }
  show(0);
  return {
    title: "What the network sees",
    how: "each square of a picture is one patch of the image, drawn as the model sees it and not smoothed; the text on a sheet says what its colours mean. " +
      "These are examples: they explain a score and prove nothing.",
    parts: [...parts, holder],
  };
}

function lookSheet(sheet) {
  const image = el("img", { src: sheet.image, width: sheet.width, height: sheet.height, alt: sheet.title });
  return [el("h3", {}, sheet.title), el("div", { class: "scroll look", tabindex: 0, role: "region", "aria-label": sheet.title }, image)];
}
