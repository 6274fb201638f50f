// The samples: an index that is unpacked at once, and chunks of texts that are when looked at.
"use strict";
const Samples = { index: null, kept: new Map(), waiting: new Map() };
Samples.MOST_KEPT = 12; // chunks of about 1 MB

Samples.open = async () => {
  const index = JSON.parse(await Page.inflate(document.getElementById("index").textContent));
  for (const run of index.runs) {
    run.rows = run.problem.length;
    run.at = new Map(run.problem.map((problem, row) => [`${problem}#${run.sample[row]}`, row]));
    run.hay = new Array(run.rows);
    run.several = run.sample.some((sample) => sample > 0);
  }
  for (const problem of index.problems) {
    problem.hay = [problem.id, problem.question, problem.gold, problem.subject].join("\n").toLowerCase();
  }
  Samples.index = index;
};

Samples.beside = (run, row, other) => other.at.get(`${run.problem[row]}#${run.sample[row]}`);

// --- texts ---------------------------------------------------------------------------------

Samples.chunk = async (number) => {
  const known = Samples.kept.get(number);
  Samples.kept.delete(number);
  const chunk = known ?? Samples.load(number);
  Samples.kept.set(number, chunk); // now the latest used
  if (Samples.kept.size > Samples.MOST_KEPT) Samples.kept.delete(Samples.kept.keys().next().value);
  try {
    return await chunk;
  } catch (error) {
    Samples.kept.delete(number);
    throw error;
  }
};

Samples.load = async (number) => JSON.parse(await Samples.unpack(number));

Samples.unpack = async (number) => {
  const inPage = document.getElementById(`chunk-${number}`);
  return Page.inflate(inPage ? inPage.textContent : await Samples.fromBeside(number));
};

// A page from a disk may not fetch a file, but may run one: the file calls Samples.arrived.
Samples.fromBeside = (number) => new Promise((resolve, reject) => {
  const name = `report_files/${String(number).padStart(4, "0")}.js`;
  const script = document.createElement("script");
  // A search and a reader may want one chunk at once: both get it.
  Samples.waiting.set(number, [...(Samples.waiting.get(number) ?? []), resolve]);
  script.onerror = () => reject(new Error(`${name} is missing: it belongs beside this page`));
  script.onload = () => script.remove();
  script.src = name;
  document.head.append(script);
});

Samples.arrived = (number, packed) => {
  for (const resolve of Samples.waiting.get(number) ?? []) resolve(packed);
  Samples.waiting.delete(number);
};

Samples.texts = async (run, row) => {
  if (run.chunk[row] === null) return null;
  return (await Samples.chunk(run.chunk[row]))[run.place[row]];
};

// --- search --------------------------------------------------------------------------------

Samples.matches = (run, row, term) => {
  run.hay[row] ??= [run.extracted[row], run.end[row], run.detail[row]].join("\n").toLowerCase();
  return run.hay[row].includes(term) || Samples.index.problems[run.problem[row]].hay.includes(term);
};

// Rows of a run whose whole text holds the term. Asks after each chunk whether to go on.
Samples.search = async (run, term, goOn) => {
  const rows = new Map();
  run.chunk.forEach((chunk, row) => {
    if (chunk === null) return;
    if (!rows.has(chunk)) rows.set(chunk, []);
    rows.get(chunk).push(row);
  });
  const found = new Set();
  const written = JSON.stringify(term).slice(1, -1); // as it is in a chunk before that is parsed
  let done = 0;
  for (const [number, members] of [...rows].sort(([one], [other]) => one - other)) {
    // Not by Samples.chunk: a search through all would put out what is being read. Most chunks do
    // not hold the term, and parsing them would fill memory faster than browsers empty it.
    const chunk = await Samples.unpack(number);
    const texts = chunk.toLowerCase().includes(written) ? JSON.parse(chunk) : null;
    for (const row of texts ? members : []) {
      const { r, a, x, d } = texts[run.place[row]];
      if ([r, a, x, d].some((text) => text && text.toLowerCase().includes(term))) found.add(row);
    }
    done += 1;
    if (!goOn(done / rows.size)) return null;
  }
  return found;
};
