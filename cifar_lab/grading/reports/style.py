"""The look of the pages, on screens of any width and on paper, and the class page's script."""

from __future__ import annotations

COMMON = """
:root { color-scheme: light; --ink: #1b1f24; --soft: #57606a; --line: #d0d7de; --wash: #f4f6f8;
  --blue: #0072b2; --good: #00694e; --bad: #a63e00; --open: #6a4c00; }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0 auto; padding: 1.5rem 1rem 3rem; color: var(--ink); background: #fff;
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
  overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0 0 .25rem; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .6rem; padding-top: .8rem;
  border-top: 2px solid var(--ink); }
h3 { font-size: 1rem; margin: 0 0 .3rem; }
p { margin: .4rem 0; }
a { color: #0550ae; }
a:focus-visible, button:focus-visible, [tabindex]:focus-visible { outline: 3px solid var(--blue);
  outline-offset: 2px; }
small, .soft { color: var(--soft); font-size: .875rem; }
bdi { unicode-bidi: isolate; }
pre { margin: .4rem 0; padding: .6rem .8rem; background: var(--wash);
  border-left: 3px solid var(--line);
  font: .85rem/1.45 ui-monospace, "SFMono-Regular", Consolas, "DejaVu Sans Mono", monospace;
  white-space: pre-wrap; unicode-bidi: plaintext; }
table { border-collapse: collapse; width: 100%; font-size: .9rem;
  font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .35rem .6rem; border-bottom: 1px solid var(--line);
  vertical-align: top; }
th { font-weight: 600; }
thead th { border-bottom: 2px solid var(--ink); vertical-align: bottom; }
td, th { overflow-wrap: break-word; }
thead th { overflow-wrap: normal; }
.n { text-align: right; }
td.n { white-space: nowrap; }
.wide { overflow-x: auto; max-width: 100%; }
svg { display: block; max-width: 100%; height: auto; }
svg text { font: 12px system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
  fill: var(--ink); }
svg .letter { font-size: 10px; font-weight: 700; fill: #fff; }
figure { margin: .8rem 0; }
figcaption { font-size: .875rem; color: var(--soft); }
.tiles { display: flex; flex-wrap: wrap; gap: .6rem; margin: 1rem 0; padding: 0; list-style: none; }
.tiles li { flex: 1 1 9rem; padding: .6rem .8rem; background: var(--wash); border-radius: .4rem; }
.tiles b { display: block; font-size: 1.35rem; line-height: 1.25; }
.key { list-style: none; margin: .4rem 0; padding: 0; font-size: .875rem; display: flex;
  flex-wrap: wrap; gap: .1rem 1.1rem; }
.key svg { display: inline-block; vertical-align: -2px; margin-right: .3rem; }
.word { border: 2px solid var(--blue); border-radius: .4rem; padding: .6rem 1rem; margin: 1rem 0; }
.word h2 { border: 0; margin: 0 0 .3rem; padding: 0; }
.sign { font-weight: 700; white-space: nowrap; }
.passed .sign { color: var(--good); }
.failed .sign { color: var(--bad); }
.blocked .sign, .not-made .sign { color: var(--open); }
footer { margin-top: 2.5rem; border-top: 1px solid var(--line); padding-top: .6rem; }
@media print {
  html { font-size: 10pt; }
  body { max-width: none; padding: 0; font-size: 10pt; }
  h2 { margin-top: 1.2rem; }
  a { color: inherit; text-decoration: none; }
  h2, h3 { break-after: avoid; }
  figure, .word, .cause, tr, li { break-inside: avoid; }
  .wide { overflow: visible; }
  .tiles li, pre, .word { background: #fff; border: 1px solid #888; }
  .no-print { display: none; }
}
"""

STUDENT = (
    COMMON
    + """
body { max-width: 46rem; }
.score { font-size: 2rem; font-weight: 700; line-height: 1.2; margin: .6rem 0 0; }
.cause { border: 1px solid var(--line); border-left: 6px solid var(--bad); border-radius: .4rem;
  padding: .7rem 1rem; margin: .8rem 0; }
.cause.first { border-width: 2px; border-left-width: 10px; border-color: var(--bad); }
.cause.not-made, .cause.blocked { border-left-color: var(--open); border-left-style: double; }
.cause dl { margin: .3rem 0 0; }
.cause dt { font-weight: 600; margin-top: .5rem; }
.cause dd { margin: 0; }
.do { font-weight: 600; }
.overview td:last-child, .overview th:last-child { text-align: right; white-space: nowrap; }
.overview td:first-child { white-space: nowrap; }
.overview td { overflow-wrap: anywhere; }
figure > svg { max-width: 34rem; width: 100%; }
"""
)

CLASS = (
    COMMON
    + """
body { max-width: 78rem; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr));
  gap: 1rem 2rem; align-items: start; }
.pair > * { min-width: 0; }
.pair h2 { margin-top: 1.2rem; }
figure > svg { width: 100%; }
details { margin: .6rem 0; }
summary { cursor: pointer; font-weight: 600; }
nav ul { list-style: none; display: flex; flex-wrap: wrap; gap: .2rem 1rem; padding: 0;
  margin: .6rem 0; }
.students td, .students th { padding: .25rem .4rem; }
.status { white-space: nowrap; }
tbody th { min-width: 9rem; }
.students th[scope=row] { font-weight: 400; min-width: 11rem; max-width: 18rem; }
.students .why { min-width: 6rem; max-width: 22rem; font-size: .8rem; }
th button { font: inherit; font-weight: 600; color: inherit; background: none; border: 0;
  padding: 0;
  text-align: inherit; cursor: pointer; }
th button::after { content: "\\a0\\2195"; color: var(--soft); font-weight: 400; }
th[aria-sort=ascending] button::after { content: "\\a0\\25B2"; color: var(--ink); }
th[aria-sort=descending] button::after { content: "\\a0\\25BC"; color: var(--ink); }
.cause { border-left: 4px double var(--open); padding-left: .8rem; margin: 1rem 0; }
h3 { margin-top: 1.2rem; }
td svg { margin-top: .2rem; }
.narrow table { width: auto; min-width: min(100%, 34rem); }
.find { margin: .4rem 0; }
.find input { font: inherit; padding: .25rem .5rem; max-width: 100%; border: 1px solid var(--soft);
  border-radius: .3rem; }
.code { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr));
  gap: .3rem 1rem; }
.code > * { min-width: 0; }
@media (max-width: 40rem) {
  tbody th { min-width: 9rem; }
.students th[scope=row] { position: sticky; left: 0; background: #fff; max-width: 9rem; }
}
@media print {
  @page { size: A4 landscape; margin: 12mm; }
  .students table { font-size: 7pt; }
  .students th, .students td { padding: 1pt 3pt; min-width: 0 !important; }
  .students .why { font-size: inherit; }
  th button { display: contents; }
  th button::after { content: "" !important; }
  .pair { grid-template-columns: 1fr 1fr; }
  .pair svg { max-height: 90mm; }
  .tiles li { flex: 1 1 6rem; }
}
"""
)

# Buttons that sort, and a field that filters, come only where scripts run.
SCRIPT = """
"use strict";
const valueOf = cell => cell.dataset.v ?? cell.textContent.trim();
const compare = (a, b) => {
  if (a === "" || b === "") return (a === "") - (b === "");
  const difference = Number(a) - Number(b);
  return Number.isNaN(difference) ? a.localeCompare(b, undefined, {numeric: true}) : difference;
};
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    if (head.classList.contains("picture")) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const numeric = head.classList.contains("n");
      const before = head.getAttribute("aria-sort");
      const down = before ? before === "ascending" : numeric;
      heads.forEach(other => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...table.tBodies[0].rows].map(row => [valueOf(row.cells[column]), row]);
      rows.sort(([a], [b]) => a === "" || b === "" || !down ? compare(a, b) : compare(b, a));
      table.tBodies[0].append(...rows.map(([, row]) => row));
    });
  });
}
for (const box of document.querySelectorAll(".students")) {
  const label = document.createElement("label");
  const field = document.createElement("input");
  const count = document.createElement("small");
  label.className = "find no-print";
  field.type = "search";
  count.setAttribute("role", "status");
  label.append("Show only rows with ", field, " ", count);
  box.before(label);
  const rows = [...box.querySelectorAll("tbody tr")];
  const texts = rows.map(row => row.textContent.toLowerCase());
  field.addEventListener("input", () => {
    const wanted = field.value.trim().toLowerCase();
    let shown = 0;
    rows.forEach((row, place) => {
      row.hidden = !texts[place].includes(wanted);
      shown += !row.hidden;
    });
    count.textContent = wanted ? `${shown} of ${rows.length}` : "";
  });
}
"""
