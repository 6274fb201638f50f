// The list of samples: filters, sorting, keys. Only the rows in sight are in the page.
"use strict";
const Browser = {
  a: null, b: null, task: "", status: "", subject: "", term: "", differ: "",
  sort: "problem", down: false, rows: [], chosen: null, found: null, searching: 0, height: 36,
};
const byId = (id) => document.getElementById(id);

// In what two runs may differ on a sample; one that only one of them was asked is no difference.
Browser.DIFFER = {
  outcome: ["outcome differs", (run, row, other, at) => at !== undefined && other.status[at] !== run.status[row]],
  gained: ["only the first solved it", (run, row, other, at) => at !== undefined && run.status[row] === "correct" && other.status[at] !== "correct"],
  lost: ["only the second solved it", (run, row, other, at) => at !== undefined && run.status[row] !== "correct" && other.status[at] === "correct"],
  extracted: ["extracted answer differs", (run, row, other, at) => at !== undefined && other.extracted[at] !== run.extracted[row]],
  text: ["text differs", (run, row, other, at) => at !== undefined && run.hash[row] !== null && other.hash[at] !== null && other.hash[at] !== run.hash[row]],
};

// --- which rows ------------------------------------------------------------------------------

Browser.passes = (row) => {
  const { a: run, b: other } = Browser;
  const problem = Samples.index.problems[run.problem[row]];
  if (Browser.task && problem.task !== Browser.task) return false;
  if (Browser.subject && problem.subject !== Browser.subject) return false;
  if (Browser.status && run.status[row] !== Browser.status) return false;
  if (Browser.differ && other && !Browser.DIFFER[Browser.differ][1](run, row, other, Samples.beside(run, row, other))) return false;
  if (!Browser.term) return true;
  return Samples.matches(run, row, Browser.term) || Boolean(Browser.found?.has(row));
};

Browser.value = (row) => {
  const { a: run, b: other } = Browser;
  switch (Browser.sort) {
    case "tokens": return run.tokens[row];
    case "status": return run.status[row];
    case "beside": return other?.status[Samples.beside(run, row, other)] ?? "";
    default: return row; // by problem and sample already
  }
};

Browser.refresh = () => {
  const rows = [];
  for (let row = 0; row < Browser.a.rows; row += 1) if (Browser.passes(row)) rows.push(row);
  const sign = Browser.down ? -1 : 1;
  rows.sort((one, other) => Page.order(Browser.value(one), Browser.value(other), sign) || one - other);
  Browser.rows = rows;
  const all = Browser.a.rows.toLocaleString("en");
  byId("found").textContent = rows.length === Browser.a.rows ? `${all} samples`
    : `${rows.length.toLocaleString("en")} of ${all} samples${Browser.term && !Browser.found ? "; searched: problems, extracted answers, ends of answers, details" : ""}`;
  byId("full-text").hidden = !Browser.term || !Browser.a.texts || Boolean(Browser.found);
  byId("list").scrollTop = 0;
  Browser.draw();
  if (!rows.includes(Browser.chosen)) Browser.choose(rows[0] ?? null, { quiet: true });
  else Browser.reveal();
};

// --- drawing ---------------------------------------------------------------------------------

Browser.draw = () => {
  const list = byId("list"), body = list.querySelector("tbody");
  const first = Math.max(0, Math.floor(list.scrollTop / Browser.height) - 8);
  const last = Math.min(Browser.rows.length, first + Math.ceil(list.clientHeight / Browser.height) + 20);
  const shown = Browser.rows.slice(first, last).map((row, place) => Browser.row(row, first + place));
  body.replaceChildren(Browser.space(first), ...shown, Browser.space(Browser.rows.length - last));
  const table = list.querySelector("table");
  table.setAttribute("aria-rowcount", String(Browser.rows.length + 1));
  for (const cell of list.querySelectorAll(".beside")) cell.hidden = !Browser.b;
};

Browser.space = (rows) => {
  const space = Sample.element("tr", "space");
  space.setAttribute("aria-hidden", "true");
  space.style.height = `${rows * Browser.height}px`;
  return space;
};

Browser.row = (row, place) => {
  const { a: run, b: other } = Browser;
  const problem = Samples.index.problems[run.problem[row]];
  const id = problem.id.slice(problem.task.length + 1);
  const words = Sample.element("div", "name", Sample.element("span", "", id), run.several ? Sample.element("span", "muted", `#${run.sample[row]}`) : null);
  const name = Sample.element("td", "", words);
  name.title = `${problem.id}#${run.sample[row]}`;
  const made = Sample.element("tr", "", name, Sample.element("td", "", Browser.short(run.status[row])));
  const beside = other && Samples.beside(run, row, other);
  const cell = Sample.element("td", "beside", beside === undefined || beside === null ? "" : Browser.short(other.status[beside]));
  made.append(cell, Sample.element("td", "num", run.tokens[row]?.toLocaleString("en") ?? "unknown"));
  made.dataset.row = row;
  made.setAttribute("aria-rowindex", String(place + 2));
  if (row === Browser.chosen) made.setAttribute("aria-current", "true");
  return made;
};

Browser.short = (status) => {
  const [sign, tone, words] = Sample.SIGNS[status];
  const word = Sample.element("span", "word", words.replace(/ error$/, ""));
  return Sample.element("span", tone, `${sign} `, word);
};

// --- choosing --------------------------------------------------------------------------------

Browser.choose = (row, { quiet = false } = {}) => {
  Browser.chosen = row;
  Browser.reveal();
  Browser.draw();
  if (row === null) {
    Sample.last += 1;
    byId("sample").replaceChildren(Sample.element("p", "muted", "No sample fits."));
    delete byId("sample").dataset.shown;
    return;
  }
  const run = Browser.a;
  const shown = Sample.show(byId("sample"), { run, row, other: Browser.b, term: Browser.term, choose: Browser.choose });
  const { id } = Samples.index.problems[run.problem[row]];
  const [, , words] = Sample.SIGNS[run.status[row]];
  const place = Browser.rows.indexOf(row) + 1;
  byId("chosen").textContent = `${id}, sample ${run.sample[row]}: ${words}; ${place.toLocaleString("en")} of ${Browser.rows.length.toLocaleString("en")}`;
  if (!quiet) history.replaceState(null, "", Browser.address());
  return shown;
};

// What opens this very sample: by the runs' ids, which another page of the same runs knows too.
Browser.address = () => {
  const { a: run, b: other, chosen: row } = Browser;
  const chosen = new URLSearchParams({ run: run.id, problem: Samples.index.problems[run.problem[row]].id, sample: run.sample[row] });
  if (other) chosen.set("beside", other.id);
  return `${location.href.split("#")[0]}#${chosen}`;
};

Browser.reveal = () => {
  const place = Browser.rows.indexOf(Browser.chosen);
  if (place < 0) return;
  const list = byId("list"), head = list.querySelector("thead").offsetHeight;
  const top = place * Browser.height;
  if (top < list.scrollTop) list.scrollTop = top;
  const room = list.clientHeight - head - Browser.height;
  if (top > list.scrollTop + room) list.scrollTop = top - room;
};

Browser.move = (step) => {
  const place = Browser.rows.indexOf(Browser.chosen) + step;
  if (place >= 0 && place < Browser.rows.length) Browser.choose(Browser.rows[place]);
};

Browser.moveSample = (step) => {
  if (Browser.chosen === null) return;
  const rows = Sample.siblings(Browser.a, Browser.chosen);
  const next = rows[rows.indexOf(Browser.chosen) + step];
  if (next !== undefined) Browser.choose(next);
};

Browser.foldReasoning = () => {
  Sample.reasoningOpen = !Sample.reasoningOpen;
  for (const folded of document.querySelectorAll("#sample .reasoning")) folded.open = Sample.reasoningOpen;
};

// --- searching all texts -----------------------------------------------------------------------

Browser.searchTexts = async () => {
  const turn = ++Browser.searching, { a: run, term } = Browser;
  const bar = byId("progress"), button = byId("search-texts");
  bar.hidden = false;
  button.disabled = true;
  try {
    const found = await Samples.search(run, term, (share) => {
      bar.value = share;
      return turn === Browser.searching;
    });
    if (found === null) return;
    Browser.found = found;
    Browser.refresh();
  } catch (error) {
    byId("found").textContent = error.message;
  } finally {
    if (turn === Browser.searching) Browser.stopSearch();
  }
};

Browser.stopSearch = () => {
  Browser.searching += 1;
  byId("progress").hidden = true;
  byId("progress").value = 0;
  byId("search-texts").disabled = false;
};

Browser.setTerm = (text) => {
  const term = text.trim().toLowerCase();
  if (term === Browser.term) return;
  Browser.stopSearch();
  Browser.term = term;
  Browser.found = null;
  Browser.refresh();
  if (Browser.chosen !== null) Browser.choose(Browser.chosen, { quiet: true });
};

// --- controls ----------------------------------------------------------------------------------

Browser.fill = (select, names) => {
  for (const [value, words] of names) {
    const option = Sample.element("option", "", words);
    option.value = value;
    select.append(option);
  }
  select.parentElement.hidden = names.length < 2;
};

Browser.fillAll = () => {
  const { problems, runs } = Samples.index;
  const distinct = (values) => [...new Set(values)].filter((value) => value !== null && value !== undefined).sort();
  const same = (names) => names.map((name) => [name, name]);
  Browser.fill(byId("filter-task"), same(distinct(problems.map((problem) => problem.task))));
  Browser.fill(byId("filter-subject"), same(distinct(problems.map((problem) => problem.subject))));
  const statuses = Object.keys(Sample.SIGNS).filter((status) => runs.some((run) => run.status.includes(status)));
  Browser.fill(byId("filter-status"), statuses.map((status) => [status, `${Sample.SIGNS[status][0]} ${Sample.SIGNS[status][2]}`]));
  const names = runs.map((run, place) => [String(place), `${run.letter}  ${run.name}`]);
  Browser.fill(byId("run-a"), names);
  Browser.fill(byId("run-b"), names);
  byId("differ-label").hidden = runs.length < 2;
};

Browser.setRuns = (a, b) => {
  const { runs } = Samples.index;
  const was = Browser.a && Browser.chosen !== null ? [Browser.a, Browser.chosen] : null;
  Browser.a = runs[a];
  Browser.b = b === a ? null : runs[b] ?? null;
  byId("run-a").value = String(a);
  byId("run-b").value = Browser.b ? String(b) : "";
  byId("differ").disabled = !Browser.b;
  if (!Browser.b) Browser.differ = byId("differ").value = "";
  Browser.fillDiffer();
  Browser.stopSearch();
  Browser.found = null;
  Browser.chosen = was ? Samples.beside(was[0], was[1], Browser.a) ?? null : null;
  Browser.refresh();
  if (Browser.chosen !== null) Browser.choose(Browser.chosen, { quiet: true });
};

// The kinds of difference, each with how many samples it has.
Browser.fillDiffer = () => {
  const { a: run, b: other } = Browser;
  const select = byId("differ");
  select.replaceChildren(select.options[0]);
  if (!other) return;
  const beside = run.problem.map((_, row) => Samples.beside(run, row, other));
  for (const [value, [words, fits]] of Object.entries(Browser.DIFFER)) {
    const count = beside.reduce((sum, at, row) => sum + fits(run, row, other, at), 0);
    const option = Sample.element("option", "", `${words.replace("the first", run.letter).replace("the second", other.letter)} (${count.toLocaleString("en")})`);
    option.value = value;
    select.append(option);
  }
  select.value = Browser.differ;
};

Browser.setPlain = (plain) => {
  Texts.plain = plain;
  byId("plain").setAttribute("aria-pressed", String(plain));
  if (Browser.chosen !== null) Browser.choose(Browser.chosen, { quiet: true });
};

Browser.listen = () => {
  const on = (id, name, act) => byId(id).addEventListener(name, act);
  for (const [id, key] of [["filter-task", "task"], ["filter-status", "status"], ["filter-subject", "subject"], ["differ", "differ"]]) {
    on(id, "change", (event) => { Browser[key] = event.target.value; Browser.refresh(); });
  }
  on("filters", "submit", (event) => event.preventDefault());
  on("search", "input", (event) => Browser.setTerm(event.target.value));
  on("search-texts", "click", Browser.searchTexts);
  const place = (id) => (byId(id).value === "" ? null : Number(byId(id).value));
  for (const id of ["run-a", "run-b"]) on(id, "change", () => Browser.setRuns(place("run-a"), place("run-b")));
  on("plain", "click", () => Browser.setPlain(!Texts.plain));
  on("help-button", "click", () => byId("help").showModal());
  on("list", "scroll", () => Browser.draw());
  on("list", "click", (event) => {
    const sort = event.target.closest("button")?.dataset.sort;
    if (sort) return Browser.sortBy(sort);
    const row = event.target.closest("tr[data-row]");
    if (row) Browser.choose(Number(row.dataset.row));
  });
  document.addEventListener("keydown", Browser.key);
};

Browser.sortBy = (sort) => {
  Browser.down = Browser.sort === sort && !Browser.down;
  Browser.sort = sort;
  for (const button of byId("list").querySelectorAll("th button")) {
    const header = button.closest("th");
    if (button.dataset.sort === sort) header.setAttribute("aria-sort", Browser.down ? "descending" : "ascending");
    else header.removeAttribute("aria-sort");
  }
  Browser.refresh();
};

Browser.KEYS = {
  j: () => Browser.move(1), k: () => Browser.move(-1), n: () => Browser.moveSample(1), p: () => Browser.moveSample(-1),
  r: () => Browser.foldReasoning(), t: () => Browser.setPlain(!Texts.plain), c: () => document.querySelector("#sample .copy")?.click(),
  "/": () => byId("search").focus(), "?": () => byId("help").showModal(),
};

Browser.key = (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || byId("help").open) return;
  const target = event.target;
  if (event.key === "Escape" && target === byId("search")) {
    if (target.value === "") target.blur();
    else { target.value = ""; Browser.setTerm(""); }
    event.preventDefault();
    return;
  }
  if (target.matches?.("input, select, textarea")) return;
  const inList = target === byId("list");
  const act = inList && event.key === "ArrowDown" ? Browser.KEYS.j
    : inList && event.key === "ArrowUp" ? Browser.KEYS.k : Browser.KEYS[event.key];
  if (!act) return;
  event.preventDefault();
  act();
};

// On paper everything is unfolded but what has pages of its own.
Browser.print = () => {
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open]):not(.config)")];
    for (const folded of opened) folded.open = true;
  });
  addEventListener("afterprint", () => { for (const folded of opened) folded.open = false; });
};

Browser.fromAddress = () => {
  const wanted = new URLSearchParams(location.hash.slice(1));
  const { problems, runs } = Samples.index;
  const place = (name) => runs.findIndex((run) => run.id === wanted.get(name));
  const [a, b] = [place("run"), place("beside")];
  const problem = problems.findIndex((each) => each.id === wanted.get("problem"));
  const row = runs[a]?.at.get(`${problem}#${wanted.get("sample")}`);
  if (row === undefined) return;
  if (runs[a] !== Browser.a || (runs[b] ?? null) !== Browser.b) Browser.setRuns(a, b < 0 ? null : b);
  if (!Browser.rows.includes(row)) Browser.showAll();
  Browser.choose(row, { quiet: true });
  byId("samples").scrollIntoView();
};

// No filter stands in the way of a sample that was asked for.
Browser.showAll = () => {
  byId("filters").reset();
  Object.assign(Browser, { task: "", status: "", subject: "", term: "", differ: "", found: null });
  byId("run-a").value = String(Samples.index.runs.indexOf(Browser.a));
  byId("run-b").value = Browser.b ? String(Samples.index.runs.indexOf(Browser.b)) : "";
  Browser.refresh();
};

Browser.start = async () => {
  Browser.listen();
  Browser.print();
  await Samples.open();
  Browser.fillAll();
  Browser.setRuns(0, Samples.index.runs.length > 1 ? 1 : null);
  const row = byId("list").querySelector("tr[data-row]");
  if (row) Browser.height = row.getBoundingClientRect().height;
  Browser.draw();
  Browser.fromAddress();
  addEventListener("hashchange", Browser.fromAddress);
  byId("browser").dataset.ready = "";
};
Browser.start();
