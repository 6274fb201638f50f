// What differs between two runs' answers to one problem: said first, and word by word on demand.
"use strict";
const Difference = {};
Difference.LIMITS = { timeout: 1500, maxEditLength: 4000 }; // milliseconds; words taken out or put in
Difference.AROUND = 60; // characters shown about the place where two texts part

Difference.of = (sides, texts) => {
  if (sides.length < 2 || sides.some(([, row]) => row === undefined)) return [];
  const section = Sample.element("section", "difference");
  section.setAttribute("aria-label", "What differs");
  const list = Sample.element("ul", "small");
  section.append(Sample.element("h4", "", "What differs"), list);
  const tell = (what, same, ...more) => list.append(Sample.element("li", same ? "muted" : "", `${what}: `, ...more));
  const [one, other] = sides.map(([run, row]) => run.status[row]);
  tell("Outcome", one === other, one === other ? "the same" : "differs");
  const [x, y] = sides.map(([run, row], place) => texts[place]?.x ?? run.extracted[row]);
  tell("Extracted", x === y, x === y ? "the same" : "differs");
  if (texts.every((each) => each && !each.failure)) {
    for (const [what, key] of [["Reasoning", "r"], ["Answer", "a"]]) Difference.texts(section, tell, what, texts.map((each) => each[key] ?? ""), sides.map(([run]) => run.letter));
  }
  return [section];
};

Difference.texts = (section, tell, what, [one, other], letters) => {
  if (one === other) return tell(what, true, one ? "the same, word for word" : "neither has any");
  const at = Difference.parting(one, other);
  tell(what, false, `the same for the first ${at.toLocaleString("en")} of ${one.length.toLocaleString("en")} and ${other.length.toLocaleString("en")} characters`);
  if (!one || !other) return undefined;
  const pre = Sample.element("pre", "words");
  pre.tabIndex = 0;
  const folded = Sample.element("details", "block", Sample.element("summary", "", `${what}, word by word`), pre);
  folded.addEventListener("toggle", () => Difference.words(pre, [one, other], at, letters), { once: true });
  section.append(folded);
  return undefined;
};

Difference.parting = (one, other) => {
  let at = 0;
  while (at < one.length && one[at] === other[at]) at += 1;
  return at;
};

// The words that A alone has, and those that B alone has; the long common beginning is left out.
Difference.words = async (pre, [one, other], at, letters) => {
  await Page.library("diff");
  const from = Math.max(0, at - 4 * Difference.AROUND);
  const parts = Diff.diffWordsWithSpace(one.slice(from), other.slice(from), Difference.LIMITS);
  if (!parts) {
    pre.textContent = "They have too little in common to be set side by side by words. They part here:\n\n"
      + [one, other].map((text, place) => `${letters[place]}: …${text.slice(Math.max(0, at - Difference.AROUND), at + Difference.AROUND)}…`).join("\n\n");
    return;
  }
  if (from) pre.append(Sample.element("span", "muted", `… ${from.toLocaleString("en")} characters, the same …\n`));
  for (const { value, added, removed } of parts) {
    pre.append(added || removed ? Sample.element(added ? "ins" : "del", "", value) : value);
  }
};
