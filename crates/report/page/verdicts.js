// What came out, in sentences.

const VERDICTS = {
  better: "\u25b2 better",
  worse: "\u25bc worse",
  equivalent: "\u2248 equivalent",
  undecided: "? undecided",
  none: "\u2013 no verdict",
};

function verdictMark(verdict) {
  return el("span", { class: `verdict ${verdict}` }, VERDICTS[verdict] ?? verdict);
}

function verdicts(report) {
  const parts = [];
  for (const evaluation of report.evaluations) {
    const judged = evaluation.arms.filter((arm) => arm.verdict);
    if (judged.length === 0) continue;
    parts.push(heading(report, evaluation), tally(judged), ...sentences(judged));
  }
  if (parts.length === 0) return null;
  const margin = number(report.margin);
  return {
    title: "Verdicts",
    how: `an arm is better or worse if its difference to ${report.reference ?? "the reference"} is larger than chance allows in the whole ` +
      `family of comparisons, equivalent if its 90 % interval lies within \u00b1${margin} points, and undecided if this design shows neither. ` +
      "Undecided does not mean equal.",
    parts,
  };
}

const FEW = 12;

/** A sentence for each arm; of many arms those come first that are decided, and the rest is folded. */
function sentences(judged) {
  const list = (arms) => el("ul", { class: "verdicts" }, arms.map((arm) => el("li", {}, verdictMark(arm.verdict), el("span", {}, arm.sentence))));
  if (judged.length <= FEW) return [list(judged)];
  const of = (verdict) => judged.filter((arm) => arm.verdict === verdict);
  const open = [...of("better"), ...of("worse")];
  const folded = ["equivalent", "undecided", "none"].map((verdict) => [verdict, of(verdict)]).filter(([, arms]) => arms.length > 0);
  return [list(open), ...folded.map(([verdict, arms]) => el("details", {}, el("summary", {}, verdictMark(verdict), ` (${arms.length})`), list(arms)))];
}

function tally(judged) {
  const words = Object.keys(VERDICTS).map((verdict) => [verdict, judged.filter((arm) => arm.verdict === verdict).length]);
  const text = words.filter(([, count]) => count > 0).map(([verdict, count]) => `${count} ${verdict === "none" ? "without verdict" : verdict}`);
  return el("p", { class: "tally" }, `${judged.length} ${judged.length === 1 ? "arm" : "arms"}: ${text.join(", ")}.`);
}

/** The name of an evaluation set as a heading, where there are several. */
function heading(report, evaluation) {
  const words = `${evaluation.name}, split ${evaluation.split}: ${evaluation.primary.words}`;
  return report.evaluations.length > 1 ? el("h3", {}, words) : el("p", { class: "small" }, words);
}
