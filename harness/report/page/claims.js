// The filters over the table of claims.
"use strict";
const Claims = { rows: [...document.querySelectorAll("table.claims tbody tr")] };

Claims.filter = () => {
  const value = (id) => document.getElementById(id).value;
  const wanted = { verdict: value("claim-verdict"), column: value("claim-column"), kind: value("claim-kind") };
  const term = value("claim-search").trim().toLowerCase();
  let shown = 0;
  for (const row of Claims.rows) {
    const fits = Object.entries(wanted).every(([key, name]) => !name || row.dataset[key] === name);
    row.hidden = !(fits && (!term || row.textContent.toLowerCase().includes(term)));
    shown += !row.hidden;
  }
  document.getElementById("claims-found").textContent = `${shown} of ${Claims.rows.length}`;
};

for (const name of ["input", "change"]) document.getElementById("claim-filters").addEventListener(name, Claims.filter);
document.getElementById("claim-filters").addEventListener("submit", (event) => event.preventDefault());
Claims.filter();
