// Log records: search, and from each to its span.

import { get } from "../api.js";
import { pairs } from "../details.js";
import { h, fill, reconcile } from "../dom.js";
import { choice, range } from "../filters.js";
import { count, timeElement } from "../format.js";
import { icon } from "../icons.js";
import { live } from "../live.js";
import { readingOn } from "../reading-on.js";
import { copy } from "../say.js";
import { asking, emptyNote, problemNote, waiting } from "../states.js";
import { line, long, plain } from "../text.js";
import { firstTrace } from "../first-trace.js";

const FILTERS = ["q", "severity", "service", "trace_id", "from", "to"];
const PAGE = 100;
const LEVELS = [["5", "debug and above"], ["9", "info and above"], ["13", "warnings and above"], ["17", "errors and above"]];

/** @param {import("../router.js").Context} context @returns {import("../router.js").Page} */
export function create({ query, signal, setQuery }) {
  const next = asking(signal);
  const change = (changes) => setQuery(changes, { push: true });
  const box = h("input", { type: "search", placeholder: "Text in the record", "aria-label": "Search logs", on: { search: () => change({ q: box.value }), change: () => change({ q: box.value }) } });
  const fields = [range({ change }), choice({ name: "severity", label: "Severity", options: LEVELS, change }), choice({ name: "service", label: "Service", facet: "services", change })];
  const trace = h("span", { class: "field set" });
  const told = h("p", { class: "muted", role: "status" });
  const list = h("div", { class: "log-list fades" });
  const reading = readingOn({ enough: PAGE, stopped: () => (next(), (loading = false), draw()) });
  const above = h("div", { class: "above" });
  const below = h("div", { class: "below" });
  const element = h("div", { class: "page" }, h("div", { class: "page-head" }, h("h1", { tabindex: "-1" }, "Logs"), told),
    h("div", { class: "filters", role: "group", "aria-label": "Filters" }, h("label", { class: "field" }, icon("search"), box), fields.map((one) => one.element), trace), above, list, reading.element, below);
  let logs = [];
  let answer = null;
  let cursor = null;
  /** What went wrong with the list, and what with its continuation. */
  let error = null;
  let moreError = null;
  /** The question that `logs` answer. */
  let answered = "";
  let loading = false;
  let asked = "";

  const wanted = () => Object.fromEntries(FILTERS.map((name) => [name, new URLSearchParams(location.search).get(name)]));

  async function load({ more = false, quietly = false, on = false } = {}) {
    if (more && (!cursor || loading)) return;
    loading = true;
    if (!on && !quietly) reading.begin(more ? logs.length : 0);
    const filters = wanted();
    const question = JSON.stringify(filters);
    try {
      const ask = () => get("logs", { ...filters, limit: quietly ? Math.min(500, Math.max(PAGE, logs.length)) : PAGE, cursor: more ? cursor : null }, next());
      const came = await (quietly || on ? ask() : waiting(element, ask));
      error = moreError = null;
      // A search that had come further than this answer does keeps what it found, and how far it came.
      const behind = quietly && came.complete === false && answer && answered === question;
      if (!behind) {
        answer = came;
        cursor = came.next;
        answered = question;
      }
      // Records have no id: the same time, span and text is the same record, and repetitions are counted.
      const seen = new Map();
      const newest = logs[0]?.time_unix_nano ?? 0;
      const all = more ? [...logs, ...came.logs] : behind ? [...came.logs.filter((one) => one.time_unix_nano > newest), ...logs] : came.logs;
      for (const log of all) {
        const name = `${log.time_unix_nano} ${log.span_id} ${String(plain(log.body)).slice(0, 200)}`;
        seen.set(name, (seen.get(name) ?? 0) + 1);
        log.key = `${name} ${seen.get(name)}`;
      }
      logs = all;
    } catch (caught) {
      if (caught.name === "AbortError") return;
      if (more) moreError = caught;
      else error = caught;
      if (answered !== question) {
        // Records of another question would stand under this one's filters.
        logs = [];
        cursor = answer = null;
      }
    }
    loading = false;
    draw();
    if (searching()) load({ more: true, on: true });
  }

  const searching = () => !error && !moreError && reading.wants(answer, logs.length);

  function draw() {
    reconcile(list, logs, (one) => one.key, (one, old) => old ?? drawLog(one));
    list.hidden = logs.length === 0;
    const filtered = Object.values(wanted()).some(Boolean);
    told.textContent = logs.length ? `${count(logs.length)}${cursor ? "+" : ""} ${filtered ? "found" : "shown"}` : "";
    const partial = answer && answer.complete === false;
    const goesOn = searching();
    reading.show(goesOn ? answer : null, logs.length);
    fill(above, error && problemNote(error, () => load()));
    fill(below, !error && moreError && problemNote(moreError, () => load({ more: true })),
      !error && !goesOn && answer && !logs.length && (filtered ? emptyNote(partial ? "Nothing found yet" : "No log record matches", h("p", null, "Fewer filters, or a longer time, may find one.")) : live.state?.traces ? emptyNote("No log record yet", h("p", null, "Records show here when a process sends them.")) : firstTrace(false)),
      !error && !moreError && partial && !goesOn && h("p", { class: "muted" }, "Searched back to ", timeElement(answer.searched_to_unix_nano), "."),
      !error && !moreError && cursor && !goesOn && h("button", { type: "button", class: "button", on: { click: () => load({ more: true }) } }, partial ? "Search further back" : "Load more"));
  }

  function drawLog(log) {
    const level = log.severity_number >= 17 ? "bad" : log.severity_number >= 13 ? "warn" : "";
    const body = plain(log.body);
    const where = log.trace_id && `/view/traces/${log.trace_id}${log.span_id ? `?span=${log.span_id}` : ""}`;
    const inside = h("div", { class: "inside" });
    const record = h("details", { on: { toggle: () => record.open && !inside.firstChild && expand() } },
      h("summary", null, timeElement(log.time_unix_nano), h("span", { class: "level" }, line(log.severity_text || `level ${log.severity_number}`, 12)), h("span", { class: "body one-line", dir: "auto" }, line(body || log.event_name, 400)), h("span", { class: "muted one-line to" }, line(log.service, 40)), h("span", { class: "to" })),
      inside);
    // Beside the record, not in its summary: one control in another can't be told apart by who doesn't see them.
    const element = h("div", { class: `log ${level}` }, record, where && h("a", { class: "to", href: where, "aria-label": `Trace ${log.trace_id.slice(0, 6)} of this record` }, "trace ", h("span", { class: "mono" }, log.trace_id.slice(0, 6))));
    function expand() {
      fill(inside, h("div", null, long(body, "mono")), log.event_name && h("p", { class: "muted" }, `event ${line(log.event_name, 120)}`),
        h("div", { class: "columns" }, [["Attributes", log.attributes], ["Resource", log.resource]].map(([title, values]) => Object.keys(values ?? {}).length > 0 && h("div", null, h("h2", { class: "muted" }, title), pairs(values)))),
        h("div", { class: "bar" }, where && h("a", { class: "button", href: where }, icon("right"), "Its span"), h("button", { type: "button", class: "button", on: { click: () => { const { key, ...whole } = log; copy(JSON.stringify(whole, null, 2), "JSON copied"); } } }, icon("copy"), "Copy JSON"),
          log.trace_id && h("a", { class: "button quiet", href: `/view/logs?trace_id=${log.trace_id}` }, "All logs of this trace")));
    }
    return element;
  }

  function update(current) {
    for (const field of fields) field.show(current);
    if (document.activeElement !== box) box.value = current.get("q") ?? "";
    const id = current.get("trace_id");
    trace.hidden = !id;
    fill(trace, id && [h("span", null, "Trace ", h("a", { class: "mono", href: `/view/traces/${encodeURIComponent(id)}` }, line(id, 12))), h("button", { type: "button", class: "button quiet square", "aria-label": "Logs of all traces", on: { click: () => change({ trace_id: null }) } }, icon("cross"))]);
    const key = JSON.stringify(wanted());
    if (key === asked) return;
    asked = key;
    load();
  }

  const watcher = new IntersectionObserver((seen) => seen.some((one) => one.isIntersecting) && !error && !moreError && !reading.stopped && load({ more: true }), { rootMargin: "400px" });
  watcher.observe(below);
  signal.addEventListener("abort", () => watcher.disconnect());
  live.subscribe((event) => event === "changed" && !loading && !searching() && logs.length <= 500 && load({ quietly: true }), signal);
  update(query);

  function step(by) {
    const all = [...list.querySelectorAll("summary")];
    const at = all.indexOf(document.activeElement);
    all[Math.max(0, Math.min(all.length - 1, at + by))]?.focus();
  }
  return { element, update, keys: { "/": () => box.focus(), j: () => step(1), k: () => step(-1) }, help: [["/", "search"], ["j k", "down and up"], ["Enter", "unfold"]] };
}
