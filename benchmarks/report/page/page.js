"use strict";
// Choosing a suite, filtering and sorting its rows, and the best of them under a budget.
// The tables are complete without this script: it hides and reorders their rows and reads the numbers they show.

const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);

/** An element with attributes and children; texts become text, never markup. */
function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// ---- What there is: every row with its table, its place in the document and the numbers it shows ----------------

const tables = data.suites.flatMap((suite, s) => suite.tables.map((found, t) => {
  const section = $(`s${s}t${t}`), heads = [...section.querySelectorAll("thead th")];
  const table = { ...found, suite: String(s), section, heads, body: section.querySelector("tbody") };
  table.offset = heads.length - table.columns.length; // method and, in some tables, seeds
  table.rows = table.rows.map((row, index) =>
    ({ ...row, table, index, tr: table.body.rows[index], facts: suite.methods[row.method] }));
  return table;
}));
const sections = [...document.querySelectorAll(".suite")];
const inSuite = () => tables.filter((table) => table.suite === view.suite);
const rows = () => inSuite().flatMap((table) => table.rows);

const value = (row, id) => row.values[row.table.columns.indexOf(id)] ?? null;
const place = (row, id) => row.table.offset + row.table.columns.indexOf(id);
const cell = (row, id) => row.tr.cells[place(row, id)];
const unit = (row, id) => row.table.heads[place(row, id)].dataset.unit;
/** What the table shows, without marks and padding. */
const shown = (row, id) => cell(row, id).lastChild.textContent.replaceAll("\u2007", "").trim();
const withUnit = (row, id) => shown(row, id) + (value(row, id) === null ? "" : ` ${unit(row, id)}`);
const doubted = (row, id) => (cell(row, id).textContent + row.tr.cells[0].textContent).includes("⚠");
/** A cost by the digits shown, so that what reads 21.2 is within 21.2; null where there is none. */
const cost = (row, id) => (value(row, id) === null ? null : parseFloat(shown(row, id)));

// ---- What is chosen; the address keeps the suite and nothing else ------------------------------------------------

const ids = Object.keys(data.measures);
const FRESH = {
  setting: "", scenario: "", family: "", task: "", buffer: "", max: "", sort: "",
  metric: ids.find((id) => data.measures[id].ranked), cost: ids.find((id) => id === "flops.training"),
};
const FILTERS = {
  setting: (row) => row.table.setting,
  scenario: (row) => row.table.scenario,
  family: (row) => row.facts.family,
  task: (row) => (row.facts.task ? "yes" : "no"),
  buffer: (row) => (row.facts.buffer ? "yes" : "no"),
};
let view = { ...FRESH, suite: "0" };
/** The column that was clicked to sort by; a "-" before it turns the order round. */
const sorted = () => view.sort.replace(/^-/, "");

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

const fits = (row) => Object.entries(FILTERS).every(([name, of]) => !view[name] || of(row) === view[name]);
const within = (row) => !view.max || (cost(row, view.cost) ?? Infinity) <= parseFloat(view.max);

/** Up to eight round budgets that part the methods of the suite, in the unit of its tables. */
function budgets() {
  const known = rows().filter((row) => row.role === "method").map((row) => cost(row, view.cost));
  const ordered = known.filter((c) => c > 0).sort((a, b) => a - b);
  const roundedUp = (c) => {
    const step = 10 ** (Math.floor(Math.log10(c)) - 1);
    return String(+(Math.ceil(c / step - 1e-9) * step).toPrecision(2));
  };
  const parts = [...Array(8).keys()].map((k) => roundedUp(ordered[Math.floor((k / 8) * (ordered.length - 1))]));
  return ordered.length ? [...new Set(parts)].filter((c) => parseFloat(c) < ordered.at(-1)) : [];
}

// ---- The best of what is shown -----------------------------------------------------------------------------------

/** Rows that a paired t test cannot tell from the best; Holm's correction is for all rows, shown or not, as in the
 * tables. */
function tiedWith(best, table, id) {
  const n = table.rows.length;
  const p = (a, b) => {
    const [i, j] = [a.index, b.index].sort((x, y) => x - y);
    return table.p[id][(i * (2 * n - i - 1)) / 2 + j - i - 1];
  };
  const rivals = table.rows.filter((row) => row !== best);
  const tests = rivals.map((row) => ({ row, p: p(best, row) })).filter((test) => test.p !== null);
  tests.sort((a, b) => a.p - b.p);
  let adjusted = 0;
  const apart = (test, k) => (adjusted = Math.max(adjusted, test.p * (tests.length - k))) <= 0.05;
  return tests.filter((test, k) => !apart(test, k)).map((test) => test.row);
}

function bestOf(table, visible, id) {
  const able = table.ranked[id].map((k) => table.rows[k]).filter((row) => visible.includes(row));
  const sign = data.measures[id].direction === "higher" ? 1 : -1;
  const best = able.reduce((a, b) => (a && sign * value(a, id) >= sign * value(b, id) ? a : b), null);
  if (!best) return null;
  const tied = tiedWith(best, table, id);
  return { best, tied: table.rows.filter((row) => able.includes(row) && tied.includes(row)) };
}

/** A line a scenario: its best method, what that one costs, which others do as well, and what doing nothing gives. */
function answerTable(answers) {
  const metric = data.measures[view.metric], price = data.measures[view.cost];
  const limit = view.max ? `, ${price.label} at most ${view.max} ${unit(answers[0][0].rows[0], view.cost)}` : "";
  const leading = (row) =>
    make("a", { href: `#${row.table.section.id}r${row.index}` }, (doubted(row, view.metric) ? "⚠ " : "") + row.method);
  const lines = answers.map(([table, found]) => {
    const where = make("th", { scope: "row" }, table.scenario);
    if (!found) return make("tr", {}, where, make("td", { colspan: 5 }, "no ranked method fits"));
    const { best, tied } = found, lower = table.rows.find((row) => row.role === "lower bound");
    const others = tied.length ? tied.flatMap((row, k) => [k ? ", " : "", leading(row)])
      : [best.n < 2 ? "one seed: not known" : "none"];
    const priced = table.columns.includes(view.cost) ? withUnit(best, view.cost) : "";
    return make("tr", {}, where, make("td", {}, leading(best)),
      make("td", { class: "number" }, withUnit(best, view.metric)), make("td", { class: "number" }, priced),
      make("td", { class: "others" }, ...others),
      make("td", { class: "lower number" }, lower ? withUnit(lower, view.metric) : "–"));
  });
  const heads = ["scenario", "best", metric.label, price?.label ?? "", "not distinguishable from it", "lower bound"];
  return make("table", {},
    make("caption", {}, `Best by ${metric.label}${limit}, of the ranked methods shown below (shaded there)`),
    make("thead", {}, make("tr", {}, ...heads.map((text) => make("th", { scope: "col" }, text)))),
    make("tbody", {}, ...lines));
}

// ---- Showing it --------------------------------------------------------------------------------------------------

function render() {
  fillChoices();
  sections.forEach((section, s) => (section.hidden = String(s) !== view.suite));
  document.querySelectorAll(".pick").forEach((tr) => tr.classList.remove("pick"));
  const answers = [];
  let count = 0;
  for (const table of inSuite()) {
    const visible = table.rows.filter((row) => fits(row) && within(row));
    for (const row of table.rows) row.tr.hidden = !visible.includes(row);
    table.section.hidden = !visible.length;
    count += visible.length;
    if (table.rows.some(fits) && table.columns.includes(view.metric)) {
      const found = bestOf(table, visible, view.metric);
      found?.best.tr.classList.add("pick");
      answers.push([table, found]);
    }
    sortRows(table);
    markColumns(table);
  }
  const nothing = count ? "" : " Nothing fits: reset, or ask for less.";
  $("count").textContent = `${count} of ${rows().length} rows shown.${nothing}`;
  $("answer").replaceChildren(answers.length ? answerTable(answers) : "");
  const set = [...Object.keys(FILTERS), "max"].filter((name) => view[name]).length;
  $("set").textContent = set ? ` (${set} set)` : "";
  document.querySelector("main").classList.toggle("few", !$("columns").checked);
}

function fillChoices() {
  const has = new Set(inSuite().flatMap((table) => table.columns));
  const own = rows().find((row) => row.n) ?? rows()[0];
  const choices = {
    suite: data.suites.map((suite, s) => [String(s), suite.title]),
    metric: ids.filter((id) => has.has(id) && data.measures[id].ranked).map((id) => [id, data.measures[id].label]),
    cost: ids.filter((id) => has.has(id) && !data.measures[id].ranked).map((id) => [id, data.measures[id].label]),
  };
  for (const [name, of] of Object.entries(FILTERS)) {
    choices[name] = [["", "any"], ...[...new Set(rows().map(of))].map((text) => [text, text])];
  }
  for (const name of ["suite", "metric", "cost"]) {
    const known = choices[name].map(([choice]) => choice);
    if (!known.includes(view[name])) view[name] = known[0] ?? "";
  }
  choices.max = [["", "any"]];
  if (view.cost) choices.max.push(...budgets().map((c) => [c, `${c} ${unit(own, view.cost)}`]));
  for (const [name, options] of Object.entries(choices)) {
    $(name).replaceChildren(...options.map(([choice, text]) => make("option", { value: choice }, text)));
    $(name).value = view[name];
  }
  const metric = data.measures[view.metric];
  const formula = metric.formula ? ` = ${metric.formula}` : "", source = metric.source ? `; ${metric.source}` : "";
  $("formula").textContent = `${metric.label}: ${metric.name}${formula}; ${metric.direction} is better${source}.`;
}

/** As the table stood, or by the metric (bounds stay at the ends), or by the head that was clicked. */
function sortRows(table) {
  const id = sorted() || (view.metric === FRESH.metric ? "" : view.metric);
  const ends = { "upper bound": 0, method: 1, "lower bound": 2 };
  const sign = (data.measures[id]?.direction === "higher" ? -1 : 1) * (view.sort.startsWith("-") ? -1 : 1);
  const compare = (a, b) => {
    if (!id) return 0;
    if (!view.sort && a.role !== b.role) return ends[a.role] - ends[b.role];
    if (id === "method") return sign * a.method.localeCompare(b.method, "en");
    const [x, y] = [value(a, id), value(b, id)];
    return x === null || y === null ? (x === null) - (y === null) : sign * (x - y);
  };
  table.body.append(...[...table.rows].sort((a, b) => compare(a, b) || a.index - b.index).map((row) => row.tr));
}

/** Shades the metric, tells the order to screen readers, and says which columns stand only where all are asked for. */
function markColumns(table) {
  const downwards = (data.measures[sorted()]?.direction === "higher") !== view.sort.startsWith("-");
  table.heads.forEach((own, k) => {
    const id = own.dataset.measure ?? (k ? "seeds" : "method");
    if (sorted() === id) own.setAttribute("aria-sort", downwards ? "descending" : "ascending");
    else own.removeAttribute("aria-sort");
    const extra = k >= table.offset && ![view.metric, view.cost, sorted()].includes(id);
    for (const tr of [own.parentElement, ...table.body.rows]) {
      tr.cells[k].classList.toggle("chosen", id === view.metric);
      tr.cells[k].classList.toggle("extra", extra);
    }
  });
}

/** Best first, then worst first, then as it was. */
function sortBy(id) {
  change({ sort: view.sort === id ? `-${id}` : view.sort === `-${id}` ? "" : id });
}

for (const table of tables) {
  table.heads.forEach((own, k) => {
    const id = own.dataset.measure ?? (k ? null : "method");
    if (!id) return;
    const button = make("button", { type: "button" }, own.textContent);
    button.addEventListener("click", () => sortBy(id));
    own.replaceChildren(button);
    if (id in data.measures) own.title = [data.measures[id].name, data.measures[id].formula].filter(Boolean).join(": ");
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
