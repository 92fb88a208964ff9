// The page: its head, its sections and the list of them.

function show(report) {
  const head = document.getElementById("head");
  head.append(el("h1", {}, report.title), ...report.notices.map((notice) => el("p", { class: "banner", role: "note" }, notice)));
  const main = document.getElementById("content");
  const row = el("div", { class: "row" });
  if (report.mark) row.append(el("span", { class: "mark" }, report.mark));
  const sections = [verdicts, forest, scores, classes, sources, confusion, measured, charts, mistakes, maps, look, run, methods].flatMap((make) => make(report) ?? []);
  for (const section of sections) {
    const id = newId("section");
    row.append(el("a", { href: `#${id}` }, section.title));
    main.append(el("section", { id, "aria-labelledby": `${id}-title` }, el("h2", { id: `${id}-title` }, section.title),
      section.how ? el("p", { class: "how" }, sentence(section.how)) : null, section.parts));
  }
  document.getElementById("contents").append(row);
  document.body.append(el("footer", { class: "small" }, report.made));
  const again = () => SCHEMES.forEach((redraw) => redraw());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  // A dark page is printed light, and what is folded unfolds.
  window.addEventListener("beforeprint", () => {
    document.querySelectorAll("details").forEach((part) => part.setAttribute("open", ""));
    again();
  });
  matchMedia("print").addEventListener("change", again);
}

show(JSON.parse(document.getElementById("report").textContent));
