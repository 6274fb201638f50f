// What models and data sets wrote, as elements: plain text, or with its formulas and code drawn.
// Nothing of it is ever parsed into this page: text is textContent, and what a library makes of it
// is taken only if it holds nothing but formulas or coloured words.
"use strict";
const Texts = { plain: false };
Texts.LONGEST_FORMULA = 2000; // characters; longer ones are no formulas but a lost delimiter
Texts.LONGEST_CODE = 100_000; // characters; longer code is not coloured
Texts.MATHML = "http://www.w3.org/1998/Math/MathML";
Texts.ENVIRONMENTS = "equation|align|aligned|alignat|gather|gathered|split|cases|array|[bBpvV]?matrix|smallmatrix";

// In this order: code in fences, code in a line, an escaped dollar, formulas by their delimiters.
// A single dollar opens before a non-space and closes after one and not before a digit, so that
// "$5 and $6" are prices.
Texts.PIECES = new RegExp([
  "^ {0,3}(?<fence>`{3,}|~{3,})[ \\t]*(?<language>[\\w+#.-]*)[^\\n]*\\n(?<code>[^]*?)(?:^ {0,3}\\k<fence>[`~]*[ \\t]*$|$(?![^]))",
  "(?<!`)`(?<word>[^`\\n]{1,500})`(?!`)",
  "\\\\\\$",
  `\\$\\$(?<dollars>[^$]{1,${Texts.LONGEST_FORMULA}}?)\\$\\$`,
  `\\\\\\[(?<display>[^]{1,${Texts.LONGEST_FORMULA}}?)\\\\\\]`,
  `\\\\\\((?<inline>[^]{1,${Texts.LONGEST_FORMULA}}?)\\\\\\)`,
  `(?<environment>\\\\begin\\{(?<name>(?:${Texts.ENVIRONMENTS})\\*?)\\}[^]{1,${Texts.LONGEST_FORMULA}}?\\\\end\\{\\k<name>\\})`,
  "\\$(?<dollar>(?=[^\\s$])(?:[^$\\\\\\n]|\\\\[^\\n]|\\n(?!\\n)){0,500}?(?<=[^\\s]))\\$(?!\\d)",
].join("|"), "gm");

// [kind, text as written, what is inside, language or whether the formula has lines of its own]
Texts.pieces = (text) => {
  const found = [];
  let from = 0;
  const add = (end) => { if (end > from) found.push(["text", text.slice(from, end)]); };
  for (const match of text.matchAll(Texts.PIECES)) {
    const { code, language, word, dollars, display, inline, environment, dollar } = match.groups;
    const formula = dollars ?? display ?? environment ?? inline ?? dollar;
    if (code === undefined && word === undefined && formula === undefined) continue; // an escaped dollar
    add(match.index);
    from = match.index + match[0].length;
    if (code !== undefined) found.push(["code", match[0], code, language.toLowerCase()]);
    else if (word !== undefined) found.push(["word", match[0], word]);
    else found.push(["formula", match[0], formula, inline === undefined && dollar === undefined]);
  }
  add(text.length);
  return found;
};

// --- elements ----------------------------------------------------------------------------------

// Text with the searched term marked.
Texts.marked = (text, term) => {
  const lower = text.toLowerCase();
  // Where lower case is longer than the text, places do not fit: then nothing is marked.
  if (!term || lower.length !== text.length) return [text];
  const parts = [];
  let from = 0;
  for (let at = lower.indexOf(term); at >= 0; at = lower.indexOf(term, from)) {
    const mark = document.createElement("mark");
    mark.textContent = text.slice(at, at + term.length);
    parts.push(text.slice(from, at), mark);
    from = at + term.length;
  }
  parts.push(text.slice(from));
  return parts;
};

// A formula, or null where the LaTeX is broken, asks for more than a formula, or never ends.
Texts.formula = (source, display) => {
  const holder = document.createElement("span");
  try {
    temml.render(source, holder, {
      displayMode: display, throwOnError: true, trust: false, macros: {}, maxSize: [20, 20], maxExpand: 300,
    });
  } catch { return null; }
  const drawn = holder.firstElementChild;
  const isOther = (each) => each.namespaceURI !== Texts.MATHML || each.hasAttribute("href") || each.hasAttribute("id");
  if (drawn?.localName !== "math" || [drawn, ...drawn.querySelectorAll("*")].some(isOther)) return null;
  holder.className = display ? "formula display" : "formula";
  holder.title = source;
  return holder;
};

// Code with its words coloured: highlight.js answers in HTML, of which only spans and text are taken.
Texts.coloured = (code, language) => {
  const known = language && hljs.getLanguage(language) && code.length <= Texts.LONGEST_CODE;
  if (!known) return code;
  const { value } = hljs.highlight(code, { language, ignoreIllegals: true });
  const parsed = new DOMParser().parseFromString(`<pre>\n${value}</pre>`, "text/html");
  const copy = (from, to) => {
    for (const node of from.childNodes) {
      if (node.nodeType === Node.TEXT_NODE) { to.append(node.data); continue; }
      const span = document.createElement("span");
      span.className = node.className;
      copy(node, span);
      to.append(span);
    }
    return to;
  };
  const copied = copy(parsed.querySelector("pre"), document.createElement("span"));
  return copied.textContent === code ? copied : code;
};

Texts.code = (code, language) => {
  const block = document.createElement("code");
  block.className = "code";
  block.append(Texts.coloured(code.replace(/\n$/, ""), language));
  return block;
};

Texts.piece = ([kind, written, inner, how], term) => {
  if (kind === "text" || (term && written.toLowerCase().includes(term))) return Texts.marked(written, term);
  if (kind === "formula") return [Texts.formula(inner, how) ?? written];
  if (kind === "code") return [Texts.code(inner, how)];
  const word = document.createElement("code");
  word.textContent = inner;
  return [word];
};

// --- a whole text ------------------------------------------------------------------------------

// How a text is drawn: "plain"; "prose" with formulas and fenced code; "formula" as a whole, if it
// looks like one; or the name of a programming language.
Texts.needs = (text, how) => {
  if (Texts.plain || how === "plain") return [];
  if (how === "formula") return /[\\^_{]/.test(text) ? ["temml"] : [];
  if (how !== "prose") return ["highlight"];
  return [
    ...(/[$\\]/.test(text) ? ["temml"] : []),
    ...(/^ {0,3}(```|~~~)/m.test(text) ? ["highlight"] : []),
  ];
};

// Draws into an element. What needs a library is there as text until the library is.
Texts.fill = async (element, text, term, how) => {
  element.replaceChildren(...Texts.marked(text, term));
  const needs = Texts.needs(text, how);
  element.classList.toggle("prose", false);
  if (!needs.length && how !== "prose") return;
  await Promise.all(needs.map(Page.library));
  if (Texts.plain) return;
  if (how === "formula") {
    const drawn = term ? null : Texts.formula(text, false);
    if (drawn) element.replaceChildren(drawn);
  } else if (how === "prose") {
    element.classList.toggle("prose", true);
    element.replaceChildren(...Texts.pieces(text).flatMap((piece) => Texts.piece(piece, term)));
  } else if (!term) element.replaceChildren(Texts.coloured(text, how));
};

Texts.element = (text, term, how) => {
  const made = document.createElement("pre");
  made.tabIndex = 0; // it may scroll
  made.drawn = Texts.fill(made, text, term, how);
  return made;
};
