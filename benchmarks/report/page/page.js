"use strict";
// Sorting, filtering, the answer under a budget, a row's own view, and the address that keeps all of it.
// The tables are complete without this script: it hides and reorders their rows and reads the numbers they show.

const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg"; // a name, not a place: nothing is loaded
const DRAWN = new Set(["svg", "g", "line", "polyline", "polygon", "circle", "rect", "text", "title"]);

/** An element with attributes and children; texts become text, never markup. */
function make(tag, attributes = {}, ...children) {
  const node = DRAWN.has(tag) ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "onclick") node.addEventListener("click", value);
    else node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

// ---- What there is: every row with its table, its place in the document and the numbers it shows ----------------

const tables = data.suites.flatMap((suite, s) =>
  suite.tables.map((table, t) => ({ ...table, suite, section: $(`s${s}t${t}`) })));
const rowOf = new Map();
for (const table of tables) {
  table.heads = [...table.section.querySelectorAll("thead th")];
  table.offset = table.heads.length - table.columns.length; // method and, in some tables, seeds
  table.notes = [...table.section.querySelectorAll(".notes li")];
  table.body = table.section.querySelector("tbody");
  table.rows = table.rows.map((row, k) => ({
    ...row, table, index: k, tr: table.body.rows[k], facts: table.suite.methods[row.method],
    key: `${table.suite.name}|${table.scenario}|${row.method}`,
  }));
  for (const row of table.rows) rowOf.set(row.tr, row);
}
const rows = tables.flatMap((table) => table.rows);

const value = (row, id) => row.values[row.table.columns.indexOf(id)] ?? null;
const place = (row, id) => row.table.offset + row.table.columns.indexOf(id);
const cell = (row, id) => row.tr.cells[place(row, id)];
const head = (row, id) => row.table.heads[place(row, id)];
/** What the table shows, without marks and padding. */
const shown = (row, id) => cell(row, id).lastChild.textContent.replaceAll("\u2007", "").trim();
const withUnit = (row, id) => shown(row, id) + (value(row, id) === null ? "" : ` ${head(row, id).dataset.unit}`);
const doubted = (row, id) => (cell(row, id).textContent + row.tr.cells[0].textContent).includes("⚠");
/** A cost by the digits shown, so that what reads 21.2 is within 21.2; null where there is none. */
const cost = (row, id) => (value(row, id) === null ? null : parseFloat(shown(row, id)) / head(row, id).dataset.factor);

// ---- The view, as the address keeps it ---------------------------------------------------------------------------

const measures = Object.entries(data.measures);
const scores = measures.filter(([, m]) => m.ranked).map(([id]) => id);
const costs = measures.filter(([, m]) => !m.ranked).map(([id]) => id);
const FRESH = {
  suite: data.opens, setting: "", scenario: "", family: "", task: "", buffer: "",
  metric: scores[0] ?? "", cost: costs.includes("flops.training") ? "flops.training" : costs[0] ?? "", max: "",
  sort: "", columns: "", row: "",
};
const FILTERS = {
  suite: (row) => row.table.suite.name,
  setting: (row) => row.table.setting,
  scenario: (row) => row.table.scenario,
  family: (row) => row.facts.family,
  task: (row) => (row.facts.task ? "yes" : "no"),
  buffer: (row) => (row.facts.buffer ? "yes" : "no"),
};
const SELECTS = [...Object.keys(FILTERS), "metric", "cost"];
let view = { ...FRESH };
const narrow = matchMedia("(max-width: 700px)").matches;
/** The column that was clicked to sort by; a "-" before it turns the order round. */
const sorted = () => view.sort.replace(/^-/, "");

function restore() {
  const hash = location.hash.slice(1);
  const suite = data.suites[hash.match(/^s(\d+)/)?.[1]]; // a link of the page without script
  const kept = suite ? { suite: suite.name } : Object.fromEntries(new URLSearchParams(hash));
  view = { ...FRESH };
  for (const name of Object.keys(FRESH)) if (name in kept) view[name] = kept[name];
  if (sorted() !== "method" && !(sorted() in data.measures)) view.sort = "";
  render();
}

/** Another view, under its own address. */
function change(changes) {
  view = { ...view, ...changes };
  render();
  remember();
}

/** A row's own view over the same tables; "" closes it. */
function open(key) {
  view.row = key;
  showRow();
  remember();
}

function remember() {
  const kept = Object.entries(view).filter(([name, text]) => name === "suite" || text !== FRESH[name]);
  history.replaceState(null, "", "#" + new URLSearchParams(kept));
}

// ---- Budgets -----------------------------------------------------------------------------------------------------

const SIZES = { "": 1, k: 1e3, M: 1e6, G: 1e9, T: 1e12, P: 1e15, E: 1e18 };

/** "20G", "20 GFLOP", "2e10" as a number; null for nothing, NaN for what is no number. */
function amount(text) {
  if (!text.trim()) return null;
  const found = text.match(/^\s*(\d*\.?\d+(?:e\+?\d+)?)\s*([kMGTPE]?)(?:FLOPs?|B|s)?(?:\/image)?\s*$/i);
  const size = found && Object.keys(SIZES).find((prefix) => prefix.toLowerCase() === found[2].toLowerCase());
  return found ? parseFloat(found[1]) * SIZES[size] : NaN;
}

/** 2e10 as ["20", "G"]; seconds have no thousands. */
function short(number, noun) {
  const size = noun === "s" ? "" : Object.keys(SIZES).findLast((prefix) => SIZES[prefix] <= number) ?? "";
  return [String(+(number / SIZES[size]).toPrecision(3)), size];
}
const amountText = (number, noun) => { const [digits, size] = short(number, noun); return `${digits} ${size}${noun}`; };

function within(row) {
  const most = amount(view.max);
  if (most === null || Number.isNaN(most)) return true;
  const own = cost(row, view.cost);
  return own !== null && own <= most * (1 + 1e-9);
}

const fits = (row) => Object.entries(FILTERS).every(([name, of]) => !view[name] || of(row) === view[name]);

/** Up to four round budgets that part the methods on show. */
function presets() {
  const all = rows.filter((row) => row.role === "method" && fits(row)).map((row) => cost(row, view.cost));
  const known = all.filter((c) => c > 0).sort((a, b) => a - b);
  if (!known.length) return [];
  const roundedUp = (c) => {
    const step = 10 ** (Math.floor(Math.log10(c)) - 1);
    return +(Math.ceil(c / step - 1e-9) * step).toPrecision(2);
  };
  const steps = [0, 0.25, 0.5, 0.75].map((share) => roundedUp(known[Math.floor(share * (known.length - 1))]));
  return [...new Set(steps)].filter((c) => c < known.at(-1));
}

// ---- The best of what is shown -----------------------------------------------------------------------------------

/** Rows that a paired t test cannot tell from the best; Holm's correction is for all rows, shown or not, as in the tables. */
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
  const sign = data.measures[id].better === "higher" ? 1 : -1;
  const best = able.reduce((a, b) => (a && sign * value(a, id) >= sign * value(b, id) ? a : b), null);
  if (!best) return null;
  const tied = tiedWith(best, table, id);
  return { best, tied: table.rows.filter((row) => able.includes(row) && tied.includes(row)) };
}

// ---- Showing the view --------------------------------------------------------------------------------------------

function render() {
  fillChoices();
  document.querySelectorAll(".pick").forEach((tr) => tr.classList.remove("pick"));
  const answers = [];
  let count = 0;
  for (const table of tables) {
    const visible = table.rows.filter((row) => fits(row) && within(row));
    const asked = table.rows.some(fits);
    for (const row of table.rows) row.tr.hidden = !visible.includes(row);
    table.section.hidden = !visible.length;
    count += visible.length;
    if (asked && table.columns.includes(view.metric)) {
      const found = bestOf(table, visible, view.metric);
      found?.best.tr.classList.add("pick");
      answers.push([table, found]);
    }
    sortRows(table);
    markColumns(table);
  }
  document.querySelectorAll(".suite").forEach((section, s) => {
    section.hidden = !tables.some((table) => table.suite === data.suites[s] && !table.section.hidden);
  });
  const nothing = count ? "" : " Nothing fits: reset, or ask for less.";
  $("count").textContent = `${count} of ${rows.length} rows shown.${nothing}`;
  $("answer").replaceChildren(answerTable(answers));
  const set = [...Object.keys(FILTERS), "max"].filter((name) => name !== "suite" && view[name]).length;
  $("set").textContent = set ? ` (${set} set)` : "";
  const few = view.columns ? view.columns === "few" : narrow;
  document.querySelector("main").classList.toggle("few", few);
  $("columns").checked = !few;
  showRow();
}

function fillChoices() {
  const titles = Object.fromEntries(data.suites.map((suite) => [suite.name, suite.title]));
  const labels = {
    suite: (name) => titles[name],
    metric: (id) => data.measures[id].label,
    cost: (id) => `${data.measures[id].label}, ${data.measures[id].unit}`,
  };
  const inSuite = rows.filter((row) => !view.suite || FILTERS.suite(row) === view.suite);
  for (const name of SELECTS) {
    const among = name === "scenario" || name === "setting" ? inSuite : rows;
    const options = { metric: scores, cost: costs }[name] ?? [...new Set(among.map(FILTERS[name]))];
    const items = options.map((option) => make("option", { value: option }, labels[name]?.(option) ?? option));
    if (name in FILTERS) {
      options.push("");
      items.unshift(make("option", { value: "" }, name === "suite" ? "all suites" : "any"));
    }
    if (!options.includes(view[name])) view[name] = FRESH[name]; // an old address, or a scenario of another suite
    $(name).replaceChildren(...items);
    $(name).value = view[name];
  }
  $("suite").parentElement.hidden = data.suites.length < 2;
  explainMetric();
  fillBudget();
}

function explainMetric() {
  const metric = data.measures[view.metric];
  if (!metric) return;
  const formula = metric.formula ? ` = ${metric.formula}` : "", source = metric.source ? `; ${metric.source}` : "";
  $("formula").textContent = `${metric.label}: ${metric.name}${formula}; ${metric.better} is better${source}.`;
}

function fillBudget() {
  const most = amount(view.max), noun = data.measures[view.cost]?.unit ?? "";
  if (document.activeElement !== $("max")) $("max").value = view.max;
  $("max").setAttribute("aria-invalid", Number.isNaN(most));
  $("unreadable").textContent = Number.isNaN(most) ? `“${view.max}” is no amount: write 20G or 2e10.` : "";
  const focused = document.activeElement?.dataset.max;
  const choices = [["", "any"], ...presets().map((c) => [short(c, noun).join(""), `≤ ${amountText(c, noun)}`])];
  const button = ([text, label]) =>
    make("button", { type: "button", "data-max": text, "aria-pressed": amount(text) === most,
      onclick: () => change({ max: text }) }, label);
  $("presets").replaceChildren(...choices.flatMap((choice) => [button(choice), " "]));
  if (focused !== undefined) [...$("presets").children].find((own) => own.dataset.max === focused)?.focus();
}

/** A line a scenario: its best method, what that one costs, which others do as well, and what doing nothing gives. */
function answerTable(answers) {
  const metric = data.measures[view.metric], price = data.measures[view.cost], most = amount(view.max);
  if (!answers.length) return "";
  const limit = most ? `, ${price.label} at most ${amountText(most, price.unit)}` : "";
  const lines = answers.map(([table, found]) => {
    const where = make("th", { scope: "row" }, (view.suite ? "" : `${table.suite.name}: `) + table.scenario);
    if (!found) return make("tr", {}, where, make("td", { colspan: 5 }, "no ranked method fits"));
    const { best, tied } = found;
    const opener = (row) => make("button", { type: "button", onclick: () => open(row.key) },
      (doubted(row, view.metric) ? "⚠ " : "") + row.method);
    const lower = table.rows.find((row) => row.role === "lower bound");
    const none = best.n < 2 ? "one seed: not known" : "none";
    const others = tied.length ? tied.flatMap((row, k) => [k ? ", " : "", opener(row)]) : [none];
    return make("tr", {}, where, make("td", {}, opener(best)),
      make("td", { class: "number" }, withUnit(best, view.metric)),
      make("td", { class: "number" }, table.columns.includes(view.cost) ? withUnit(best, view.cost) : ""),
      make("td", { class: "others" }, ...others),
      make("td", { class: "lower number" }, lower ? withUnit(lower, view.metric) : "–"));
  });
  const heads = ["scenario", "best", metric.label, price?.label ?? "", "not distinguishable from it", "lower bound"];
  const about = `Best by ${metric.label}${limit}: of the ranked methods below (shaded there), bounds left out.`;
  return make("table", {}, make("caption", {}, about),
    make("thead", {}, make("tr", {}, ...heads.map((text) => make("th", { scope: "col" }, text)))),
    make("tbody", {}, ...lines));
}

/** As the table stood, or by the metric (bounds stay at the ends), or by the head that was clicked. */
function sortRows(table) {
  const id = sorted() || (view.metric === FRESH.metric ? "" : view.metric);
  const ends = { "upper bound": 0, method: 1, "lower bound": 2 };
  const sign = (data.measures[id]?.better === "higher" ? -1 : 1) * (view.sort.startsWith("-") ? -1 : 1);
  const compare = (a, b) => {
    if (!id) return 0;
    if (!view.sort && a.role !== b.role) return ends[a.role] - ends[b.role];
    if (id === "method") return sign * a.method.localeCompare(b.method, "en");
    const [x, y] = [value(a, id), value(b, id)];
    return x === null || y === null ? (x === null) - (y === null) : sign * (x - y);
  };
  table.body.append(...[...table.rows].sort((a, b) => compare(a, b) || a.index - b.index).map((row) => row.tr));
}

/** Shades the metric, tells the order to screen readers, and says which columns a narrow view leaves out. */
function markColumns(table) {
  const downwards = (data.measures[sorted()]?.better === "higher") !== view.sort.startsWith("-");
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

// ---- A row's own view --------------------------------------------------------------------------------------------

function showRow() {
  const row = rows.find((own) => own.key === view.row), dialog = $("opened");
  if (!row) {
    if (dialog.open) dialog.close();
    return;
  }
  const { table, facts } = row;
  const seeds = `${row.n} successful seed${row.n === 1 ? "" : "s"}`;
  const said = [row.role === "method" ? "" : row.role, facts.about, facts.source, facts.family,
    facts.task ? "needs the task id" : "needs no task id", facts.buffer ? "keeps a buffer" : "keeps no buffer"];
  const command =
    `${table.suite.command} --scenarios ${table.argument} --methods ${facts.argument} --seeds ${row.seeds}`;
  const part = (title, ...content) => [make("h3", {}, title), ...content];
  const number = (id) =>
    make("div", {}, make("dt", {}, data.measures[id].label), make("dd", {}, withUnit(row, id)));
  const lines = (row.settings ?? []).flatMap((k, i) => flat(data.parts[k], data.settings[i]));
  const close = make("button", { type: "button", onclick: () => dialog.close() }, "Close");
  dialog.replaceChildren(
    make("header", {}, make("h2", { id: "opened-title" }, `${row.method}, ${table.scenario}`), close),
    make("p", {}, `${table.suite.title}; ${seeds}. `),
    make("p", { class: "soft" }, `${said.filter(Boolean).join("; ")}.`),
    make("ul", { class: "notes" }, ...row.notes.map((k) => make("li", {}, table.notes[k - 1].lastChild.textContent))),
    ...part("Command", make("pre", { id: "command" }, command), copier(command)),
    ...(row.matrix ? part("Accuracy matrix", heatMap(row)) : part("No run has succeeded: nothing to draw")),
    ...(row.matrix ? part("Curves", charts(row)) : []),
    ...part("Numbers", make("dl", { class: "numbers" }, ...table.columns.map(number))),
    ...(lines.length ? part("Settings, as resolved", make("pre", {}, lines.join("\n"))) : []),
    ...row.environments.map((k) =>
      make("details", {}, make("summary", {}, `Recorded at commit ${data.parts[k].commit ?? "unknown"}`),
        make("pre", {}, flat(data.parts[k], "").join("\n")))),
  );
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
}

function copier(text) {
  if (!navigator.clipboard) return "";
  const button = make("button", { type: "button" }, "Copy");
  const copy = () => navigator.clipboard.writeText(text);
  button.addEventListener("click", () => copy().then(() => (button.textContent = "Copied"), () => button.remove()));
  return button;
}

/** Nested settings as lines "training.optimizer.lr = 0.02", the way --set names them. */
function flat(part, name) {
  if (part !== null && typeof part === "object" && !Array.isArray(part)) {
    return Object.entries(part).flatMap(([key, own]) => flat(own, name ? `${name}.${key}` : key));
  }
  return [`${name} = ${typeof part === "string" ? part : JSON.stringify(part)}`];
}

const percent = (tenths) => (tenths / 10).toFixed(1);
const percents = (all) => all.map((tenths) => (tenths === null ? "none" : percent(tenths))).join(", ");
const range = (n) => [...Array(n).keys()];

function heatMap(row) {
  const n = row.accuracy[0].length;
  const cellOf = (i) => (tenths, j) => {
    if (tenths === null) return make("td", { class: "none" }, "–");
    const td = make("td", { class: i === j + 1 ? "learned" : "" }, percent(tenths));
    td.style.setProperty("--v", tenths / 10);
    return td;
  };
  const lines = range(n + 1).map((i) =>
    make("tr", {}, make("th", { scope: "row" }, i ? `after task ${i}` : "untrained"),
      ...row.matrix.slice(i * n, i * n + n).map(cellOf(i))));
  const heads = range(n).map((j) => make("th", { scope: "col" }, `task ${j + 1}`));
  const about = "Accuracy in % on each task (columns) after each training (rows), "
    + `mean of ${row.n} seed${row.n === 1 ? "" : "s"}. Framed: the task just learned. –: not evaluated.`;
  return make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "accuracy matrix" },
    make("table", { class: "heat" }, make("caption", {}, about),
      make("thead", {}, make("tr", {}, make("td", { class: "none" }), ...heads)), make("tbody", {}, ...lines)));
}

function charts(row) {
  const figure = (title, drawing) => make("figure", {}, make("figcaption", {}, title), drawing);
  const found = [figure("Average accuracy on the tasks seen so far, %", accuracyChart(row))];
  if (row.forgetting[0].some((v) => v !== null)) {
    found.push(figure("Forgetting of each task at the end, pp", forgettingChart(row)));
  }
  return make("div", { class: "charts" }, ...found);
}

const LEFT = 40, RIGHT = 380, TOP = 12, BOTTOM = 214; // of the axes, in a drawing of 480 x 250

/** Axes for n tasks and tenths of a percent from low to high, and where a point lies in them. */
function axes(n, low, high, step, title, below) {
  const x = (k) => LEFT + ((k + 0.5) / n) * (RIGHT - LEFT);
  const y = (v) => TOP + ((high - v) / (high - low)) * (BOTTOM - TOP);
  const svg = make("svg", { viewBox: "0 0 480 250", role: "img", "aria-label": title });
  const word = (text, at, anchor) => svg.append(make("text", { class: "soft", "text-anchor": anchor, ...at }, text));
  for (let v = low; v <= high; v += step) {
    svg.append(make("line", { class: "axis", x1: LEFT, x2: RIGHT, y1: y(v), y2: y(v) }));
    word(String(v / 10), { x: LEFT - 5, y: y(v) + 4 }, "end");
  }
  for (let k = 0; k < n; k += Math.ceil(n / 10)) word(String(k + 1), { x: x(k), y: BOTTOM + 15 }, "middle");
  word(below, { x: (LEFT + RIGHT) / 2, y: 245 }, "middle");
  return { svg, x, y };
}

const tip = (what, v, half) =>
  make("title", {}, `${what}: ${percent(v)}${half === null ? "" : ` ± ${percent(half)}`}`);

/** The row's own line with its 95% band, the bounds of its table for comparison. */
function accuracyChart(row) {
  const [means, halves] = row.accuracy, n = means.length;
  const title = `average accuracy after each task: ${percents(means)} %`;
  const { svg, x, y } = axes(n, 0, 1000, 250, title, "tasks trained");
  const known = range(n).filter((k) => means[k] !== null);
  if (known.every((k) => halves[k] !== null)) {
    const edge = (sign) => known.map((k) => `${x(k)},${y(Math.min(1000, Math.max(0, means[k] + sign * halves[k])))}`);
    svg.append(make("polygon", { class: "band", points: [...edge(1), ...edge(-1).reverse()].join(" ") }));
  }
  const bounds = row.table.rows.filter((own) => own.role !== "method" && own !== row && own.matrix);
  const labels = [...bounds, row].map((own) => {
    const [line] = own.accuracy;
    const points = range(n).filter((k) => line[k] !== null).map((k) => `${x(k)},${y(line[k])}`);
    svg.append(make("polyline", { class: own === row ? "own" : "other", points: points.join(" ") }));
    return { text: own.method, y: y(line.at(-1) ?? 0), class: own === row ? "" : "soft" };
  });
  for (const k of known) {
    const about = tip(`after task ${k + 1}`, means[k], halves[k]);
    svg.append(make("circle", { class: "dot", cx: x(k), cy: y(means[k]), r: 3.5 }, about));
  }
  labels.sort((a, b) => a.y - b.y).forEach((label, k) => {
    label.y = Math.max(label.y, k ? labels[k - 1].y + 14 : 0); // names stay apart where lines end together
    svg.append(make("text", { class: label.class, x: RIGHT + 4, y: label.y + 4 }, label.text));
  });
  return svg;
}

/** A bar a task with its 95% interval; below zero, later tasks helped. */
function forgettingChart(row) {
  const [means, halves] = row.forgetting, n = means.length;
  const known = range(n).filter((k) => means[k] !== null);
  const least = Math.min(0, ...known.map((k) => means[k] - halves[k]));
  const most = Math.max(0, ...known.map((k) => means[k] + halves[k]));
  const step = [10, 20, 50, 100, 200, 500].find((size) => (most - least) / size <= 6) ?? 500;
  const low = Math.floor(least / step) * step, high = Math.max(Math.ceil(most / step), 1) * step;
  const title = `forgetting of each task: ${percents(means)} percentage points`;
  const { svg, x, y } = axes(n, low, high, step, title, "task (the last cannot be forgotten yet)");
  const width = Math.min(36, ((RIGHT - LEFT) / n) * 0.6);
  for (const k of known) {
    const [v, half] = [means[k], halves[k]], bar = { x: x(k) - width / 2, width };
    svg.append(make("rect", { class: "bar", ...bar, y: Math.min(y(v), y(0)), height: Math.abs(y(v) - y(0)) },
      tip(`task ${k + 1}`, v, half)));
    if (half !== null) {
      svg.append(make("line", { class: "whisker", x1: x(k), x2: x(k), y1: y(v - half), y2: y(v + half) }));
    }
  }
  return svg;
}

// ---- Making the page answer --------------------------------------------------------------------------------------

for (const table of tables) {
  table.heads.forEach((own, k) => {
    const id = own.dataset.measure ?? (k ? null : "method");
    if (!id) return;
    own.replaceChildren(make("button", { type: "button", onclick: () => sortBy(id) }, own.textContent));
    if (id in data.measures) own.title = [data.measures[id].name, data.measures[id].formula].filter(Boolean).join(": ");
  });
  for (const row of table.rows) {
    const name = row.tr.cells[0].firstChild;
    name.replaceWith(make("button", { type: "button" }, name.textContent)); // its click is the row's
  }
  table.body.addEventListener("click", (event) => {
    const tr = event.target.closest("tr"), selected = getSelection();
    if (!selected.isCollapsed && tr.contains(selected.anchorNode)) return; // a number is being copied
    open(rowOf.get(tr).key);
  });
}
for (const name of SELECTS) $(name).addEventListener("change", (event) => change({ [name]: event.target.value }));
$("max").addEventListener("input", (event) => change({ max: event.target.value }));
$("columns").addEventListener("change", (event) => change({ columns: event.target.checked ? "all" : "few" }));
$("reset").addEventListener("click", () => change({ ...FRESH, suite: view.suite }));
$("controls").addEventListener("submit", (event) => event.preventDefault());
$("opened").addEventListener("close", () => view.row && open(""));
$("opened").addEventListener("click", (event) => event.target === $("opened") && $("opened").close());
addEventListener("hashchange", restore);
document.documentElement.classList.add("js");
$("controls").hidden = !rows.length;
$("budget").hidden = !costs.length;
if (narrow) document.querySelectorAll("details[open]").forEach((details) => (details.open = false));
restore();
