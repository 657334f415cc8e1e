// What the processes used, and the emails of that time beneath, on one time axis.

import { get } from "../api.js";
import { chart } from "../chart.js";
import { h, fill } from "../dom.js";
import { asTime, choice, range } from "../filters.js";
import { bytes, count, duration, number } from "../format.js";
import { live } from "../live.js";
import { processNames } from "../process-names.js";
import { asking, emptyNote, problemNote, waiting } from "../states.js";
import { line } from "../text.js";

const INITIAL = "1h";
const SYNC = "runtime";
const CHARTS = [
  ["CPU", "cores in use", [["cpu", ""]], (value) => (value === null ? "–" : number(value))],
  ["Memory", "resident", [["memory_bytes", ""]], bytes],
  ["Disk", "bytes a second", [["io_read_bytes", " read"], ["io_write_bytes", " written"]], (value) => (value === null ? "–" : `${bytes(value)}/s`)],
  ["Event loop", "lag, p99", [["loop_lag_p99_s", ""]], (value) => duration(value === null ? null : value * 1e9)],
  ["Threads", "", [["threads", ""]], count],
];

/** Nothing is no bar at all. */
const some = (value) => value || null;

/** @param {import("../router.js").Context} context @returns {import("../router.js").Page} */
export function create({ query, signal, setQuery }) {
  const next = asking(signal);
  const change = (changes) => setQuery(changes, { push: true });
  const zoomed = (from, to) => change({ from: asTime(from * 1e9), to: asTime(to * 1e9) });
  const fields = [range({ any: null, initial: INITIAL, change }), choice({ name: "service", label: "Service", facet: "services", change })];
  const charts = CHARTS.map(([title, unit, , say]) => chart({ signal, height: 118, label: `${title}${unit ? `, ${unit}` : ""}`, say, sync: SYNC, zoomed }));
  const emails = chart({ signal, height: 84, label: "Emails begun", say: count, sync: SYNC, zoomed });
  const behind = h("a", { href: "/view/" }, "These emails");
  const cards = h("div", { class: "charts fades" }, CHARTS.map(([title, unit], i) => h("section", { class: "card" }, h("header", null, h("h2", null, title), h("span", { class: "muted" }, unit)), h("div", { class: "inside" }, charts[i].element))),
    h("section", { class: "card beneath" }, h("header", null, h("h2", null, "Emails of that time"), behind), h("div", { class: "inside" }, emails.element)));
  const problem = h("div");
  const element = h("div", { class: "page" }, h("div", { class: "page-head" }, h("h1", { tabindex: "-1" }, "Runtime"), h("p", { class: "muted" }, "Drag over a chart to zoom; cursors move together.")), h("div", { class: "filters", role: "group", "aria-label": "Filters" }, fields.map((one) => one.element)), problem, cards);
  const now = () => new URLSearchParams(location.search);

  async function load(quietly = false) {
    const params = { from: now().get("from") ?? INITIAL, to: now().get("to"), service: now().get("service"), steps: 120 };
    try {
      const ask = () => get("runtime", params, next());
      draw(await (quietly ? ask() : waiting(element, ask)));
    } catch (error) {
      if (error.name === "AbortError" || quietly) return;
      cards.hidden = true;
      fill(problem, problemNote(error, () => load()));
    }
  }

  function draw(answer) {
    const { processes } = answer;
    cards.hidden = processes.length === 0 && !answer.emails.started.some(Boolean);
    fill(problem, processes.length === 0 && emptyNote("No process told what it uses", h("p", null, "A process that calls ", h("code", null, "configure()"), " reports CPU, memory, I/O and threads by itself; so do ", h("code", null, "serve"), " and the workers. Nothing of that came in this range.")));
    const times = answer.times_unix_nano.map((time) => time / 1e9);
    const names = processNames(processes);
    CHARTS.forEach(([, , keys], i) => {
      const lines = processes.flatMap((one, place) => keys.map(([key, more], which) => ({ label: line(names[place] + more, 60), values: one[key] ?? [], dash: which ? [4, 3] : undefined }))).filter((one) => one.values.some((value) => value !== null));
      charts[i].element.closest(".card").hidden = lines.length === 0;
      if (lines.length) charts[i].show({ times, lines }).catch(failed);
    });
    emails.show({ times, lines: [{ label: "begun", values: answer.emails.started.map(some), colour: "email", bars: true }, { label: "of them failed", values: answer.emails.failed.map(some), colour: "bad-fill", bars: true }] }).catch(failed);
    const last = answer.times_unix_nano.at(-1) + answer.step_ns;
    behind.href = `/view/?from=${asTime(answer.from_unix_nano)}&to=${asTime(last)}`;
  }

  const failed = (error) => fill(problem, problemNote(error, () => load()));
  let shown = null;
  function update(current) {
    for (const field of fields) field.show(current);
    const key = ["from", "to", "service"].map((name) => current.get(name)).join("|");
    if (key === shown) return;
    shown = key;
    load();
  }
  let last = 0;
  live.subscribe((event) => {
    if (event !== "changed" || now().get("to") || Date.now() - last < 5000) return;
    last = Date.now();
    load(true);
  }, signal);
  update(query);
  return { element, update };
}
