// What every page does: colours, plots, sortable tables. Plain scripts that share one name.
"use strict";
const Page = {};

// --- compressed blocks ---------------------------------------------------------------------

Page.bytes = (base64) => {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(base64); // ten times as fast; since 2025
  return Uint8Array.from(atob(base64.trim()), (letter) => letter.charCodeAt(0));
};

Page.inflate = async (base64) => {
  const stream = new DecompressionStream("gzip");
  const writer = stream.writable.getWriter();
  writer.write(Page.bytes(base64)).catch(() => {}); // what is wrong with the bytes, reading says
  writer.close().catch(() => {});
  return new Response(stream.readable).text();
};

// --- libraries -------------------------------------------------------------------------------

// A script that the page carries compressed is unpacked and run when it is first asked for.
Page.libraries = new Map();

Page.library = (id) => {
  if (!Page.libraries.has(id)) Page.libraries.set(id, Page.loadLibrary(id));
  return Page.libraries.get(id);
};

Page.loadLibrary = async (id) => {
  const block = document.getElementById(id);
  const script = document.createElement("script");
  script.textContent = await Page.inflate(block.textContent);
  block.remove();
  document.head.append(script);
};

// --- colours -------------------------------------------------------------------------------

Page.THEMES = { "": ["◐", "as the system"], light: ["○", "light"], dark: ["●", "dark"] };

Page.setTheme = (name) => {
  if (name) document.documentElement.dataset.theme = name;
  else delete document.documentElement.dataset.theme;
  const [sign, words] = Page.THEMES[name];
  const button = document.getElementById("theme");
  button.textContent = sign;
  button.title = `Colours: ${words}`;
  button.setAttribute("aria-label", button.title);
  Page.drawPlots();
};

Page.startTheme = () => {
  let kept = "";
  try { kept = localStorage.getItem("gegenprobe-theme") ?? ""; } catch { /* no storage here */ }
  const names = Object.keys(Page.THEMES);
  if (!names.includes(kept)) kept = "";
  document.getElementById("theme").addEventListener("click", () => {
    kept = names[(names.indexOf(kept) + 1) % names.length];
    try { localStorage.setItem("gegenprobe-theme", kept); } catch { /* no storage here */ }
    Page.setTheme(kept);
  });
  // Paper is white, and shows what never came into sight.
  addEventListener("beforeprint", () => {
    Page.setTheme("light");
    document.querySelectorAll(".plot").forEach(Page.drawPlot);
  });
  addEventListener("afterprint", () => Page.setTheme(kept));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", Page.drawPlots);
  Page.setTheme(kept);
};

Page.colour = (name) => {
  const probe = document.createElement("span");
  probe.style.color = `var(--${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
};

// --- plots ---------------------------------------------------------------------------------

// Figures are made in the light colours; each stands for the name that it has in page.css.
Page.NAMES = {
  "#1a1e23": "ink", "#565f69": "muted", "#d9dee4": "line", "#0a58a8": "accent", "#14692f": "good",
  "#b3261e": "bad", "#855300": "warn", "#9a1270": "loud", "#1f6fc4": "run-0", "#c2570c": "run-1",
  "#0d7f75": "run-2", "#7b3fc2": "run-3", "#a3144d": "run-4", "#5f6b14": "run-5",
};

// A plot is drawn when it comes into sight, and anew when the colours have changed since.
Page.drawPlots = () => {
  for (const figure of document.querySelectorAll(".plot")) {
    delete figure.dataset.drawn;
    Page.sight.unobserve(figure); // observing it anew reports again whether it is in sight
    Page.sight.observe(figure);
  }
};

Page.sight = new IntersectionObserver((entries) => {
  for (const entry of entries) if (entry.isIntersecting) Page.drawPlot(entry.target);
}, { rootMargin: "300px" });

Page.drawPlot = (figure) => {
  if (!window.Plotly) return void Page.loadPlots();
  if ("drawn" in figure.dataset) return;
  const muted = Page.colour("muted"), line = Page.colour("line");
  const axis = { gridcolor: line, zerolinecolor: line, linecolor: line, tickcolor: line, automargin: true };
  const { data, layout } = JSON.parse(figure.querySelector("script").textContent);
  const themed = {
    ...layout,
    autosize: true,
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: getComputedStyle(document.body).fontFamily, size: 12.5, color: muted },
    hoverlabel: { bgcolor: Page.colour("raised"), bordercolor: line, font: { color: Page.colour("ink") } },
    margin: { l: 8, r: 12, t: 12, b: 8, ...layout.margin },
  };
  for (const key of Object.keys(layout)) {
    if (!/^[xy]axis\d*$/.test(key)) continue;
    const title = { ...layout[key].title, font: { size: 12.5 }, standoff: 8 };
    themed[key] = { ...axis, ...layout[key], title };
  }
  const area = figure.querySelector(".plot-area");
  Plotly.react(area, Page.named(data), Page.named(themed), { responsive: true, displayModeBar: false });
  figure.dataset.drawn = "";
};

// A figure's colours as those of the page.
Page.named = (value) => {
  if (Page.NAMES[value]) return Page.colour(Page.NAMES[value]);
  if (Array.isArray(value)) return value.map(Page.named);
  if (value && typeof value === "object" && value.constructor === Object) {
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, Page.named(inner)]));
  }
  return value;
};

// Plotly is large: it waits until a plot is in sight, or until the page has nothing else to do.
Page.startPlots = () => {
  if (!document.getElementById("plotly")) return;
  const idle = window.requestIdleCallback ?? ((act) => setTimeout(act, 200));
  idle(Page.loadPlots);
};

Page.loadPlots = async () => {
  await Page.library("plotly");
  if (document.documentElement.dataset.plots) return;
  document.documentElement.dataset.plots = "ready";
  Page.drawPlots();
};

// --- tables --------------------------------------------------------------------------------

// A table of class "sortable": its header buttons sort it, by data-value of the cells or their text.
// A row of class "more" belongs to the row above it.
Page.startTables = () => {
  for (const table of document.querySelectorAll("table.sortable")) {
    table.tHead.addEventListener("click", (event) => {
      const header = event.target.closest("button")?.closest("th");
      if (header) Page.sortTable(table, header);
    });
  }
};

Page.sortTable = (table, header) => {
  const down = header.getAttribute("aria-sort") === "ascending";
  for (const other of table.tHead.querySelectorAll("th")) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", down ? "descending" : "ascending");
  const column = header.cellIndex;
  const value = (row) => {
    const cell = row.cells[column];
    return cell.dataset.value ?? cell.textContent.trim();
  };
  for (const body of table.tBodies) {
    const groups = [];
    for (const row of body.rows) {
      if (row.classList.contains("more") && groups.length) groups.at(-1).push(row);
      else groups.push([row]);
    }
    groups.sort((one, other) => Page.order(value(one[0]), value(other[0]), down ? -1 : 1));
    body.append(...groups.flat());
  }
};

// Numbers by size, words by letter, and what is unknown (empty) last in both directions.
Page.order = (one, other, sign) => {
  if (one === "" || other === "") return (one === "") - (other === "");
  const difference = Number(one) - Number(other);
  return sign * (Number.isNaN(difference) ? String(one).localeCompare(String(other), "en", { numeric: true }) : difference);
};

Page.startTables();
Page.startTheme();
Page.startPlots();
