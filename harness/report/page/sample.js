// One sample, and the same problem's answer in another run beside it.
"use strict";
const Sample = { last: 0, reasoningOpen: false };

Sample.SIGNS = {
  correct: ["✓", "good", "correct"], incorrect: ["✗", "bad", "incorrect"],
  no_answer: ["∅", "muted", "no answer"], truncated: ["…", "warn", "truncated"],
  scorer_error: ["⚠", "loud", "scorer error"], generation_error: ["⚠", "loud", "generation error"],
};

Sample.element = (tag, className, ...children) => {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children.filter((child) => child !== null));
  return made;
};

Sample.badge = (status) => {
  const [sign, tone, words] = Sample.SIGNS[status];
  return Sample.element("span", `badge ${tone}`, `${sign} ${words}`);
};

Sample.block = (title, text, term, how, note = null) => Sample.element(
  "div", "block", Sample.element("h5", "", title, note && Sample.element("span", "muted", ` ${note}`)), Texts.element(text, term, how),
);

// Folded text is there as written; its formulas and code are drawn when it is unfolded.
Sample.folded = (title, text, term, how) => {
  const pre = Texts.element(text, term, "plain");
  const details = Sample.element("details", "block", Sample.element("summary", "", title), pre);
  const draw = () => { if (details.open) pre.drawn = Texts.fill(pre, text, term, how); };
  details.addEventListener("toggle", draw, { once: true });
  if (term && text.toLowerCase().includes(term)) details.open = true;
  return details;
};

// --- what is shown ---------------------------------------------------------------------------

Sample.show = async (target, state) => {
  const turn = ++Sample.last;
  const { run, row, other, term } = state;
  const problem = Samples.index.problems[run.problem[row]];
  const sides = [[run, row], ...(other ? [[other, Samples.beside(run, row, other)]] : [])];
  let texts;
  try {
    texts = await Promise.all(sides.map(([side, at]) => (at === undefined ? null : Samples.texts(side, at))));
  } catch (error) {
    texts = sides.map(() => ({ failure: error.message }));
  }
  if (turn !== Sample.last) return; // another one was chosen meanwhile
  const columns = sides.map(([side, at], place) => Sample.side(side, at, texts[place], problem, term));
  target.replaceChildren(
    Sample.heading(problem, state),
    ...Sample.question(problem, run, row, term),
    Sample.element("div", sides.length > 1 ? "sides" : "", ...columns),
    ...Difference.of(sides, texts),
  );
  target.dataset.shown = `${run.letter}:${problem.id}#${run.sample[row]}`;
};

Sample.heading = (problem, { run, row, choose }) => {
  const where = [problem.subject, problem.level === null || problem.level === undefined ? null : `level ${problem.level}`];
  const heading = Sample.element("header", "",
    Sample.element("h3", "", problem.id),
    Sample.element("p", "muted small", [problem.task, ...where].filter(Boolean).join(" · ")));
  heading.append(Sample.copyButton());
  const siblings = Sample.siblings(run, row);
  if (siblings.length < 2) return heading;
  const chips = Sample.element("div", "chips");
  chips.setAttribute("role", "group");
  chips.setAttribute("aria-label", `The ${siblings.length} samples of this problem`);
  for (const sibling of siblings) {
    const [sign, tone, words] = Sample.SIGNS[run.status[sibling]];
    const chip = Sample.element("button", `chip ${tone}`, `${run.sample[sibling]} ${sign}`);
    chip.type = "button";
    chip.title = `sample ${run.sample[sibling]}: ${words}`;
    chip.setAttribute("aria-label", chip.title);
    if (sibling === row) chip.setAttribute("aria-current", "true");
    chip.addEventListener("click", () => choose(sibling));
    chips.append(chip);
  }
  heading.append(chips);
  return heading;
};

// The address names the sample; the button puts the address where it can be pasted.
Sample.copyButton = () => {
  const button = Sample.element("button", "copy", "Copy link");
  button.type = "button";
  button.title = "The address of this page with this sample chosen";
  button.addEventListener("click", async () => {
    const address = Browser.address();
    try {
      await navigator.clipboard.writeText(address);
      button.textContent = "Copied";
    } catch { // no clipboard here: the address itself can be copied by hand
      history.replaceState(null, "", address);
      button.textContent = "See the address bar";
    }
    setTimeout(() => { button.textContent = "Copy link"; }, 3000);
  });
  return button;
};

// Rows are sorted by problem, so the samples of one stand together.
Sample.siblings = (run, row) => {
  let first = row;
  while (first > 0 && run.problem[first - 1] === run.problem[row]) first -= 1;
  const rows = [];
  for (let at = first; at < run.rows && run.problem[at] === run.problem[row]; at += 1) rows.push(at);
  return rows;
};

Sample.question = (problem, run, row, term) => {
  const parts = [];
  if (problem.question !== undefined) {
    parts.push(Sample.block("Problem", problem.question, term, problem.test === undefined ? "prose" : Sample.questionOfCode(problem)));
    parts[0].classList.add("short");
  }
  const prompt = run.prompts[run.problem[row]];
  if (prompt !== undefined) parts.push(Sample.folded("Prompt as the model saw it", prompt, "", "plain"));
  if (problem.test !== undefined) parts.push(Sample.folded("Tests", problem.test, "", "python"));
  return parts;
};

// A function's head to be completed is code; a sentence that asks for code is not.
Sample.questionOfCode = ({ question }) => (/^\s*(def|from|import|class|@)\b/m.test(question) ? "python" : "prose");

Sample.side = (run, row, texts, problem, term) => {
  const side = Sample.element("section", "side");
  side.setAttribute("aria-label", `Run ${run.letter}`);
  const title = Sample.element("h4", "", Samples.index.runs.length > 1 ? `${run.letter}  ${run.name} ` : "Answer ");
  side.append(title);
  if (row === undefined) {
    side.append(Sample.element("p", "muted", "This run was not asked this."));
    return side;
  }
  title.append(Sample.badge(run.status[row]));
  side.append(Sample.element("p", "small muted", Sample.measures(run, row)));
  if (texts?.failure) side.append(Sample.element("p", "notice warn", texts.failure));
  if (texts?.error) side.append(Sample.block("Error", texts.error, term, "plain"));
  side.append(Sample.verdict(problem, texts ?? { x: run.extracted[row], d: run.detail[row] }, term));
  if (!run.texts) side.append(Sample.element("p", "muted small", "No run folder lay here: the answer's text is not known."));
  else if (texts && !texts.failure) side.append(...Sample.answer(run, row, texts, term));
  return side;
};

Sample.measures = (run, row) => {
  const parts = [`sample ${run.sample[row]}`, run.tokens[row] === null ? "tokens unknown" : `${run.tokens[row].toLocaleString("en")} tokens`];
  if (run.thinking[row] === null) parts.push("thinking tokens unknown");
  else if (run.thinking[row]) parts.push(`${run.thinking[row].toLocaleString("en")} of them thinking`);
  if (run.seconds[row] !== null) parts.push(`${run.seconds[row].toLocaleString("en", { maximumSignificantDigits: 3 })} s`);
  return parts.join(" · ");
};

Sample.verdict = (problem, { x, d }, term) => {
  const grid = Sample.element("div", "against");
  const how = problem.test !== undefined ? "python" : problem.formula ? "formula" : "plain";
  const isNone = x === null || x === undefined;
  grid.append(Sample.block("Extracted", isNone ? "none was found" : x, term, isNone ? "plain" : how));
  if (problem.gold !== undefined) grid.append(Sample.block("Right answer", problem.gold, term, how));
  if (d) grid.append(Sample.block(problem.test === undefined ? "Why" : "What the tests said", d, term, "plain"));
  return grid;
};

Sample.answer = (run, row, { r, a }, term) => {
  const parts = [];
  if (r) {
    const folded = Sample.folded(`Reasoning, ${r.length.toLocaleString("en")} characters`, r, term, "prose");
    folded.classList.add("reasoning");
    folded.open ||= Sample.reasoningOpen;
    parts.push(folded);
  }
  parts.push(a === null
    ? Sample.element("p", "muted", "The reasoning never ended: there is no answer.")
    : Sample.block("Answer", a.replace(/^\n+/, ""), term, "prose", r ? "after the reasoning" : null));
  return parts;
};
