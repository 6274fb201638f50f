// The filter of a leaderboard: rows in which every word occurs stay, lists without one are hidden.
"use strict";
{
  const box = document.getElementById("filter"), count = document.getElementById("count");
  const lists = [...document.querySelectorAll("section.list")];
  const rows = lists.flatMap((list) => [...list.querySelectorAll("tbody tr")]);
  const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));

  const filter = () => {
    const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      row.hidden = !words.every((word) => texts.get(row).includes(word));
      shown += !row.hidden;
    }
    for (const list of lists) list.hidden = !list.querySelector("tbody tr:not([hidden])");
    count.textContent = `${shown.toLocaleString("en")} of ${rows.length.toLocaleString("en")} rows`;
  };
  box.addEventListener("input", filter);
  filter();
}
