// The list of emails, and that of all traces.

import { get } from "../api.js";
import { h, fill, reconcile } from "../dom.js";
import { choice, durations, range, toggle } from "../filters.js";
import { count, counted, duration, timeElement } from "../format.js";
import { icon } from "../icons.js";
import { live } from "../live.js";
import { readingOn } from "../reading-on.js";
import { go } from "../router.js";
import { announce } from "../say.js";
import { marks, outcome, stageBar, stageLegend, STAGES } from "../stages.js";
import { asking, emptyNote, problemNote, waiting } from "../states.js";
import { line } from "../text.js";
import { activity } from "../activity.js";
import { firstTrace } from "../first-trace.js";

const PAGE = 50;
const FILTERS = ["q", "stage", "outcome", "service", "workflow", "version", "min_ms", "max_ms", "errors", "measure", "from", "to"];

/** A field that is there only while its filter is set: another page set it. */
function chosenOnly(field) {
  const name = field.element.querySelector("select").name;
  return { ...field, show(query) { field.show(query); field.element.hidden = !query.get(name); } };
}

/** @param {import("../router.js").Context} context @returns {import("../router.js").Page} */
export function create({ params, query, signal, setQuery, memory }) {
  const emails = params.kind === "emails";
  const next = asking(signal);
  let rows = [];
  let cursor = null;
  /** What went wrong with the list, and what with its continuation. */
  let error = null;
  let moreError = null;
  let answer = null;
  /** The question that `rows` answer. */
  let answered = "";
  let loading = false;
  let now = 0;
  let asked = "";

  const change = (changes) => setQuery(changes, { push: true });
  const fields = [
    range({ change }),
    choice({ name: "outcome", label: "Outcome", facet: "outcomes", change }),
    emails && choice({ name: "stage", label: "Stage", options: STAGES.map((one) => [one, one]), change }),
    choice({ name: "service", label: "Service", facet: "services", change }),
    choice({ name: "workflow", label: "Workflow", facet: "workflows", change }),
    chosenOnly(choice({ name: "version", label: "Version", facet: "versions", change })),
    durations({ change }),
    toggle({ name: "errors", label: "With errors", change }),
  ].filter(Boolean);
  const clear = h("button", { type: "button", class: "button quiet", on: { click: () => change(Object.fromEntries(FILTERS.map((name) => [name, null]))) } }, icon("cross"), "Clear");
  const told = h("p", { class: "muted", role: "status" });
  const list = h("div", { class: "rows", role: "rowgroup" });
  const head = h("div", { class: "row head", role: "row" },
    ["", "Outcome", emails ? "Email" : "Trace", emails ? "Stages" : "", "Duration", "Spans", "Began"].map((name, place) => h("span", { role: "columnheader", class: ["pick", "", "", "bar-cell", "num", "num spans", "num when"][place] }, name || h("span", { class: "seldom" }, place ? "Stages" : "Compare"))));
  const grid = h("div", { class: `list fades ${emails ? "emails" : "traces"}`, role: "grid", "aria-label": emails ? "Emails" : "Traces", "aria-multiselectable": "true", on: { click: clicked, keydown: keyed, focusin: focused } }, head, list);
  const reading = readingOn({ enough: PAGE, stopped: () => (next(), (loading = false), draw()) });
  const above = h("div", { class: "above" });
  const below = h("div", { class: "below" });
  const picks = h("div", { class: "picks", role: "region", "aria-label": "Selected traces", hidden: true });
  const strip = emails ? activity({ signal, change }) : null;
  const element = h("div", { class: "page" },
    h("div", { class: "page-head" }, h("h1", { tabindex: "-1" }, emails ? "Emails" : "Traces"), told, h("span", { class: "grow" }), emails && stageLegend()),
    h("div", { class: "filters", role: "group", "aria-label": "Filters" }, fields.map((one) => one.element), clear),
    above, strip?.element, grid, reading.element, below, picks);

  const wanted = () => Object.fromEntries(FILTERS.map((name) => [name, new URLSearchParams(location.search).get(name)]));
  const filtered = () => Object.values(wanted()).some(Boolean);
  const picked = () => (new URLSearchParams(location.search).get("pick") ?? "").split(",").filter(Boolean);

  async function load({ more = false, quietly = false, on = false } = {}) {
    if (more && (!cursor || loading)) return;
    loading = true;
    if (!on && !quietly) reading.begin(more ? rows.length : 0);
    const mine = next();
    const filters = wanted();
    const question = JSON.stringify(filters);
    try {
      const ask = () => get("traces", { kind: params.kind, ...filters, limit: more ? PAGE : Math.min(500, Math.max(PAGE, quietly ? rows.length : 0)), cursor: more ? cursor : null }, mine);
      const came = quietly || on ? await ask() : await waiting(element, ask);
      error = moreError = null;
      if (quietly && came.complete === false && answer && answered === question) takeNew(came.traces);
      else {
        answer = came;
        answered = question;
        take(answer, more, quietly);
      }
    } catch (caught) {
      if (caught.name === "AbortError") return;
      if (more) moreError = caught;
      else error = caught;
      if (answered !== question) {
        // Rows of another question would stand under this one's filters.
        rows = [];
        cursor = answer = null;
      }
    }
    loading = false;
    draw();
    if (searching()) load({ more: true, on: true });
  }

  const searching = () => !error && !moreError && reading.wants(answer, rows.length);

  /** The newest of a search that had come further than this answer does: what was found stays, and how far it came. */
  function takeNew(traces) {
    const came = new Set(traces.map((one) => one.trace_id));
    rows = [...traces, ...rows.filter((one) => !came.has(one.trace_id))];
  }

  function take(answer, more, quietly) {
    if (more) {
      const known = new Set(rows.map((one) => one.trace_id));
      rows = [...rows, ...answer.traces.filter((one) => !known.has(one.trace_id))];
      cursor = answer.next;
      return;
    }
    const known = new Set(rows.map((one) => one.trace_id));
    const fresh = quietly ? answer.traces.filter((one) => !known.has(one.trace_id)).length : 0;
    const last = answer.traces.at(-1)?.start_unix_nano ?? Infinity;
    const came = new Set(answer.traces.map((one) => one.trace_id));
    const older = quietly ? rows.filter((one) => one.start_unix_nano < last && !came.has(one.trace_id)) : [];
    if (!older.length) cursor = answer.next;
    rows = [...answer.traces, ...older];
    if (fresh) announce(`${counted(fresh, emails ? "new email" : "new trace")}`);
  }

  function draw() {
    const lengths = rows.map((one) => one.duration_ns).sort((a, b) => a - b);
    // One very long trace would leave no bar to the others.
    const longest = Math.max(1, lengths[Math.floor(lengths.length * 0.95)] ?? 1);
    const chosen = new Set(picked());
    const first = list.children.length === 0;
    reconcile(list, rows, (one) => one.trace_id, (one, old) => {
      const print = JSON.stringify(one);
      if (old?.print === print && old.longest === longest) {
        mark(old, chosen);
        return old;
      }
      const row = drawRow(one, longest, old);
      row.print = print;
      row.longest = longest;
      mark(row, chosen);
      if (!old && !first && !loading && live.state && answer && Date.now() - one.start_unix_nano / 1e6 < 60_000) row.classList.add("new");
      return row;
    });
    now = Math.min(now, Math.max(0, rows.length - 1));
    rove();
    grid.setAttribute("aria-rowcount", String(cursor ? -1 : rows.length + 1));
    grid.hidden = rows.length === 0;
    clear.hidden = !filtered();
    const partial = answer && answer.complete === false;
    const goesOn = searching();
    reading.show(goesOn ? answer : null, rows.length);
    fill(told, rows.length === 0 ? "" : `${count(rows.length)}${cursor ? "+" : ""} ${filtered() ? "found" : "shown"}${live.state && !filtered() && !emails ? ` of ${count(live.state.traces)}` : ""}${answer?.matched ? `, by ${{ trace_id: "trace id", run_id: "run id", pseudonym: "Message-ID or sender", text: "text" }[answer.matched]}` : ""}`);
    fill(above, error && problemNote(error, () => load()));
    fill(below,
      !error && moreError && problemNote(moreError, () => load({ more: true })),
      !error && !goesOn && rows.length === 0 && answer && (filtered() ? nothingFound(partial) : firstTrace(emails)),
      !error && !moreError && partial && !goesOn && h("p", { class: "muted" }, "Searched back to ", timeElement(answer.searched_to_unix_nano), "."),
      !error && !moreError && cursor && !goesOn && h("button", { type: "button", class: "button more-rows", on: { click: () => load({ more: true }) } }, partial ? "Search further back" : "Load more"));
    drawPicks();
  }

  function nothingFound(partial) {
    return emptyNote(partial ? "Nothing found yet" : "Nothing found", h("p", null, "No ", emails ? "email" : "trace", " matches these filters", partial ? " so far." : "."),
      h("p", null, h("button", { type: "button", class: "button", on: { click: () => clear.click() } }, "Clear filters")),
      emails && h("p", null, h("a", { href: `/view/traces${location.search}` }, "Look in all traces")));
  }

  function drawRow(trace, longest, old) {
    const { trace_id: id } = trace;
    const staged = Object.keys(trace.stages ?? {}).length > 0;
    const title = emails ? line(trace.run_id ? trace.run_id.slice(0, 12) : trace.name, 60) : line(trace.name, 120);
    const facts = emails ? [trace.workflow, trace.service !== "otel-autopilot" && trace.service] : [trace.service, trace.workflow];
    const cells = [
      h("span", { role: "gridcell", class: "pick" }, h("input", { type: "checkbox", tabIndex: -1, "aria-label": `Select ${title} to compare`, data: { pick: id } })),
      h("span", { role: "gridcell", class: "what" }, outcome(trace)),
      h("span", { role: "gridcell", class: "who" }, h("a", { href: `/view/traces/${id}`, tabindex: "-1", class: emails && trace.run_id ? "mono one-line" : "one-line", dir: "auto" }, title), h("span", { class: "muted one-line", dir: "auto" }, line(facts.filter(Boolean).join(" · "), 80))),
      h("span", { role: "gridcell", class: "bar-cell" }, staged ? stageBar(trace) : h("span", { class: "grow" }), marks(trace)),
      h("span", { role: "gridcell", class: "num took" }, h("strong", null, duration(trace.duration_ns)), h("i", { class: "meter", style: { "--share": `${Math.min(100, (100 * trace.duration_ns) / longest).toFixed(2)}%` } })),
      h("span", { role: "gridcell", class: "num spans" }, count(trace.spans), trace.errors > 0 && h("span", { class: "tag bad", title: counted(trace.errors, "span with an error", "spans with errors") }, icon("cross"), count(trace.errors))),
      h("span", { role: "gridcell", class: "num when" }, timeElement(trace.start_unix_nano, { relative: true })),
    ];
    if (!old) return h("div", { class: "row", role: "row", tabindex: "-1", data: { id } }, cells);
    fill(old, cells);
    return old;
  }

  function mark(row, chosen) {
    const on = chosen.has(row.dataset.id);
    row.setAttribute("aria-selected", String(on));
    row.querySelector("input").checked = on;
  }

  function drawPicks() {
    const ids = picked();
    picks.hidden = ids.length === 0;
    fill(picks, h("span", null, ids.length === 1 ? "1 selected: choose another to compare it with" : "2 selected"),
      h("button", { type: "button", class: "button", on: { click: () => (setQuery({ pick: null }, { quiet: true }), draw()) } }, "Clear"),
      h("button", { type: "button", class: "button main", disabled: ids.length !== 2, on: { click: compare } }, icon("compare"), "Compare"));
  }

  function compare() {
    const [a, b] = picked();
    if (b) go(`/view/compare?a=${a}&b=${b}`);
  }

  function pick(id) {
    const ids = picked();
    setQuery({ pick: (ids.includes(id) ? ids.filter((one) => one !== id) : [...ids, id].slice(-2)).join(",") }, { quiet: true });
    draw();
  }

  function clicked(event) {
    const row = event.target.closest(".row[data-id]");
    if (!row) return;
    if (event.target.closest(".pick")) {
      if (!event.target.matches("input")) event.preventDefault();
      pick(row.dataset.id);
      return;
    }
    if (event.target.closest("a, button") || String(getSelection())) return;
    if (event.metaKey || event.ctrlKey) open(`/view/traces/${row.dataset.id}`, "_blank", "noopener");
    else go(`/view/traces/${row.dataset.id}`);
  }

  function focused(event) {
    const row = event.target.closest(".row[data-id]");
    if (row) {
      now = [...list.children].indexOf(row);
      rove();
    }
  }

  function rove() {
    [...list.children].forEach((row, place) => (row.tabIndex = place === now ? 0 : -1));
  }

  function step(by) {
    const inside = list.contains(document.activeElement);
    now = Math.max(0, Math.min(rows.length - 1, inside ? now + by : now));
    rove();
    list.children[now]?.focus();
    list.children[now]?.scrollIntoView({ block: "nearest" });
    if (now > rows.length - 10) load({ more: true });
  }

  function keyed(event) {
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: 15, PageUp: -15, Home: -1e9, End: 1e9 };
    if (event.target.matches("input")) return;
    if (event.key in steps) step(steps[event.key]);
    else if (event.key === "Enter" && !event.target.closest("a")) go(`/view/traces/${rows[now].trace_id}`);
    else if (event.key === " " || event.key === "x") pick(rows[now].trace_id);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  function update(current) {
    for (const field of fields) field.show(current);
    const key = JSON.stringify(wanted());
    if (key !== asked) {
      const first = asked === "";
      asked = key;
      strip?.load(wanted());
      if (!first) now = 0;
      load();
    } else draw();
  }

  const watcher = new IntersectionObserver((seen) => seen.some((one) => one.isIntersecting) && !error && !moreError && !reading.stopped && load({ more: true }), { rootMargin: "400px" });
  watcher.observe(below);
  signal.addEventListener("abort", () => {
    watcher.disconnect();
    if (answer) memory.list = { rows, cursor, answer, answered, asked, now };
  });
  live.subscribe((event) => {
    if (event !== "changed" || (loading && rows.length) || searching()) return;
    load({ quietly: true });
    strip?.load(wanted());
  }, signal);

  if (memory.list && memory.list.asked === JSON.stringify(wanted())) {
    ({ rows, cursor, answer, answered, asked, now } = memory.list);
    for (const field of fields) field.show(query);
    strip?.load(wanted());
    draw();
    if (searching()) load({ more: true, on: true });
    else if (!live.paused) load({ quietly: true });
  } else update(query);

  return {
    element, update,
    keys: {
      j: () => step(1), k: () => step(-1), ArrowDown: () => step(1), ArrowUp: () => step(-1),
      Enter: () => (list.contains(document.activeElement) ? go(`/view/traces/${rows[now].trace_id}`) : false),
      x: () => rows[now] && pick(rows[now].trace_id), c: compare,
    },
    help: [["j k", "down and up"], ["Enter", "open"], ["x", "select to compare"], ["c", "compare the two that are selected"]],
  };
}
