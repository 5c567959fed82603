"use strict";
// Choosing a suite, filtering and sorting its rows. The tables are complete without this script: it hides and reorders
// their rows and reads the numbers they show.

const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);

const sections = [...document.querySelectorAll(".suite")];
const tables = data.suites.flatMap((suite, s) => suite.tables.map((found, t) => {
  const section = $(`s${s}t${t}`), heads = [...section.querySelectorAll("thead th")];
  const table = { ...found, suite: String(s), section, heads, body: section.querySelector("tbody") };
  const offset = heads.length - table.columns.length; // method and, in some tables, seeds
  table.ids = heads.map((_, k) => table.columns[k - offset]?.id ?? (k ? "seeds" : "method"));
  table.rows = table.rows.map((row, k) => ({ ...row, table, index: k, tr: table.body.rows[k] }));
  return table;
}));
const inSuite = () => tables.filter((table) => table.suite === view.suite);
const rows = () => inSuite().flatMap((table) => table.rows);
const columns = (ranked) => inSuite().flatMap((table) => table.columns).filter((entry) => entry.ranked === ranked);
const column = (id) => inSuite().flatMap((table) => table.columns).find((entry) => entry.id === id);
/** The number that a cell shows, before its interval; null where it shows none. */
const value = (row, id) => {
  const digits = row.tr.cells[row.table.ids.indexOf(id)]?.textContent.match(/-?\d[\d.]*/);
  return digits ? parseFloat(digits[0]) : null;
};

// ---- What is chosen; the address keeps the suite and nothing else ------------------------------------------------

const FRESH = { setting: "", scenario: "", family: "", task: "", buffer: "", max: "", sort: "", metric: "acc",
  cost: "flops.training" };
const FILTERS = {
  setting: (row) => row.table.setting,
  scenario: (row) => row.table.scenario,
  family: (row) => row.family,
  task: (row) => row.task,
  buffer: (row) => row.buffer,
};
let view = { ...FRESH, suite: "0" };
/** The column that was clicked to sort by; a "-" before it turns the order round. */
const sorted = () => view.sort.replace(/^-/, "");
const fits = (row) => Object.entries(FILTERS).every(([name, of]) => !view[name] || of(row) === view[name]);
const within = (row) => !view.max || (value(row, view.cost) ?? Infinity) <= parseFloat(view.max);

function change(changes) {
  view = { ...view, ...changes };
  render();
}

/** Shows the suite that the address leads into. */
function follow() {
  const target = $(location.hash.slice(1)), suite = sections.indexOf(target?.closest(".suite"));
  if (suite < 0) return render();
  change(view.suite === String(suite) ? {} : { ...FRESH, suite: String(suite) });
  target.scrollIntoView();
}

/** Up to eight round budgets that part the methods of the suite, in the unit of its tables. */
function budgets() {
  const known = rows().filter((row) => row.role === "method").map((row) => value(row, view.cost));
  const ordered = known.filter((c) => c > 0).sort((a, b) => a - b);
  const roundedUp = (c) => {
    const step = 10 ** (Math.floor(Math.log10(c)) - 1);
    return +(Math.ceil(c / step - 1e-9) * step).toPrecision(2);
  };
  const parts = [...Array(8).keys()].map((k) => ordered[Math.floor((k / 8) * (ordered.length - 1))]);
  return ordered.length ? [...new Set(parts.map(roundedUp))].filter((c) => c < ordered.at(-1)) : [];
}

// ---- Showing it --------------------------------------------------------------------------------------------------

function render() {
  fillChoices();
  sections.forEach((section, s) => (section.hidden = String(s) !== view.suite));
  let count = 0;
  for (const table of inSuite()) {
    for (const row of table.rows) row.tr.hidden = !(fits(row) && within(row));
    const visible = table.rows.filter((row) => !row.tr.hidden).length;
    table.section.hidden = !visible;
    count += visible;
    sortRows(table);
    markColumns(table);
    showNotes(table);
  }
  const nothing = count ? "" : " Nothing fits: reset, or ask for less.";
  $("count").textContent = `${count} of ${rows().length} rows shown.${nothing}`;
  const set = [...Object.keys(FILTERS), "max"].filter((name) => view[name]).length;
  $("set").textContent = set ? ` (${set} set)` : "";
  document.querySelector("main").classList.toggle("few", !$("columns").checked);
}

function fillChoices() {
  const choices = { suite: data.suites.map((suite, s) => [String(s), suite.title]) };
  for (const [name, ranked] of [["metric", true], ["cost", false]]) {
    choices[name] = [...new Map(columns(ranked).map((entry) => [entry.id, entry.label]))];
    if (!choices[name].some(([id]) => id === view[name])) view[name] = choices[name][0]?.[0] ?? "";
  }
  for (const [name, of] of Object.entries(FILTERS)) {
    choices[name] = [["", "any"], ...[...new Set(rows().map(of))].map((text) => [text, text])];
  }
  choices.max = [["", "any"], ...(view.cost ? budgets() : []).map((c) => [c, `${c} ${column(view.cost).unit}`])];
  for (const [name, options] of Object.entries(choices)) {
    $(name).replaceChildren(...options.map(([choice, text]) => new Option(text, choice)));
    $(name).value = view[name];
  }
}

/** As the table stood, or by the metric (bounds stay at the ends), or by the head that was clicked. */
function sortRows(table) {
  const id = sorted() || (view.metric === FRESH.metric ? "" : view.metric);
  const ends = { "upper bound": 0, method: 1, "lower bound": 2 };
  const sign = (column(id)?.higher ? -1 : 1) * (view.sort.startsWith("-") ? -1 : 1);
  const compare = (a, b) => {
    if (!id) return 0;
    if (!view.sort && a.role !== b.role) return ends[a.role] - ends[b.role];
    if (id === "method") return sign * a.method.localeCompare(b.method, "en");
    const [x, y] = [value(a, id), value(b, id)];
    return x === null || y === null ? (x === null) - (y === null) : sign * (x - y);
  };
  table.body.append(...[...table.rows].sort((a, b) => compare(a, b) || a.index - b.index).map((row) => row.tr));
}

/** Tells the order to screen readers, and which columns stand only where all are asked for. */
function markColumns(table) {
  const downwards = Boolean(column(sorted())?.higher) !== view.sort.startsWith("-");
  table.heads.forEach((head, k) => {
    const id = table.ids[k], extra = !["method", "seeds", view.metric, view.cost, sorted()].includes(id);
    if (sorted() === id) head.setAttribute("aria-sort", downwards ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
    for (const tr of [head.parentElement, ...table.body.rows]) tr.cells[k].classList.toggle("extra", extra);
  });
}

/** Only the notes whose mark stands in a cell that can be seen. */
function showNotes(table) {
  const rows = table.rows.filter((row) => !row.tr.hidden).map((row) => [...row.tr.cells]);
  const cells = rows.flat().filter((cell) => $("columns").checked || !cell.classList.contains("extra"));
  const marks = new Set(cells.flatMap((cell) => cell.textContent.split(/[\s\u2060⚠†]+/)));
  const notes = table.section.querySelectorAll(".notes li");
  for (const note of notes) note.hidden = !marks.has(note.textContent.split(" ")[0]);
}

for (const table of tables) {
  table.heads.forEach((head, k) => {
    const id = table.ids[k], button = document.createElement("button");
    if (id === "seeds") return;
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    head.title = table.columns.find((entry) => entry.id === id)?.about ?? "";
    // best first, then worst first, then as it was
    button.onclick = () => change({ sort: view.sort === id ? `-${id}` : view.sort === `-${id}` ? "" : id });
  });
}
if (tables.length) {
  for (const name of [...Object.keys(FILTERS), "metric", "cost", "max"]) {
    const clear = name === "cost" ? { max: "" } : {}; // a budget is of one cost
    $(name).addEventListener("change", (event) => change({ ...clear, [name]: event.target.value }));
  }
  $("suite").addEventListener("change", (event) => {
    history.replaceState(null, "", `#s${event.target.value}`);
    change({ ...FRESH, suite: event.target.value });
  });
  $("columns").addEventListener("change", render);
  $("reset").addEventListener("click", () => change(FRESH));
  addEventListener("hashchange", follow);
  document.documentElement.classList.add("js");
  $("controls").hidden = false;
  $("suite").parentElement.hidden = data.suites.length < 2;
  follow();
}
