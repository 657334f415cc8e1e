// One trace.

import { get, Problem } from "../api.js";
import { details, linkRow } from "../details.js";
import { h, fill } from "../dom.js";
import { count, counted, duration, timeElement } from "../format.js";
import { icon } from "../icons.js";
import { live } from "../live.js";
import { minimap } from "../minimap.js";
import { announce, copy, toast } from "../say.js";
import { marks, outcome, stageSummary } from "../stages.js";
import { asking, emptyNote, problemNote, waiting } from "../states.js";
import { line, long } from "../text.js";
import { TimeWindow } from "../time-window.js";
import { modelOf, rowsOf, search } from "../trace-model.js";
import { waterfall } from "../waterfall.js";

/** Spans of a trace that ended may still come in for this long. */
const SETTLED_MS = 120_000;

/** @param {import("../router.js").Context} context @returns {import("../router.js").Page} */
export function create({ params, query, signal, setQuery, setTitle, memory }) {
  const id = params.id.toLowerCase();
  const next = asking(signal);
  /** @type {import("../trace-model.js").Model | null} */
  let model = null;
  const view = new TimeWindow(1);
  const collapsed = new Set(memory.collapsed ?? []);
  let hits = [];
  let missing = false;

  const chosen = () => new URLSearchParams(location.search).get("span");
  const flag = (name) => new URLSearchParams(location.search).get(name) === "true";

  const map = minimap({ view, signal, moved: () => grid.follow() });
  const grid = waterfall({
    view, signal,
    moved: (i) => chosen() && open(i),
    opened: (i) => open(i),
    toggled: fold,
  });
  const panel = details({ signal, close: shut, goTo: (i) => reveal(i), zoomTo });

  const head = h("header", { class: "trace-head" });
  const why = h("div", { class: "why" });
  const box = h("input", { type: "search", placeholder: "Find in this trace", "aria-label": "Find in this trace", on: { input: find, keydown: (event) => event.key === "Enter" && (event.preventDefault(), nextHit(event.shiftKey ? -1 : 1)) } });
  const found = h("span", { class: "hits muted number", role: "status" });
  const notes = toggle("list", "Logs and events", "notes", "l");
  const critical = toggle("path", "Critical path", "critical", "c");
  const nextError = h("button", { type: "button", class: "button", title: "Next error (e)", on: { click: () => jump(1) } });
  const zoomed = h("button", { type: "button", class: "button quiet", title: "Show all of the time (0)", on: { click: () => view.reset() } }, icon("reset"), "All");
  const tools = h("div", { class: "trace-tools", role: "group", "aria-label": "Waterfall" },
    h("label", { class: "field" }, icon("search"), box, found), nextError, critical, notes,
    h("span", { class: "grow" }),
    h("button", { type: "button", class: "button quiet", title: "Fold or unfold all below the stages (-)", on: { click: foldAll } }, "Fold"), zoomed,
    h("button", { type: "button", class: "button quiet square zoom", title: "Zoom out (o)", "aria-label": "Zoom out", on: { click: () => view.zoom(2) } }, icon("minus")),
    h("button", { type: "button", class: "button quiet square zoom", title: "Zoom in (i)", "aria-label": "Zoom in", on: { click: () => view.zoom(0.5) } }, icon("plus")));
  const body = h("div", { class: "trace-body fades" }, h("div", { class: "trace-time" }, map.element, grid.element), panel.element);
  const state = h("div", { class: "trace-state" });
  const element = h("div", { class: "trace-page" }, head, why, tools, body, state);
  tools.hidden = body.hidden = true;
  fill(head, h("h1", { tabindex: "-1" }, "Trace"));

  function toggle(name, label, parameter, key) {
    return h("button", { type: "button", class: "button", "aria-pressed": "false", title: `${label} (${key})`, "aria-label": label, on: { click: () => setQuery({ [parameter]: flag(parameter) ? null : "true" }) } }, icon(name), h("span", null, label));
  }

  async function load(quietly = false) {
    try {
      const ask = () => get(`traces/${id}`, {}, next());
      const answer = quietly ? await ask() : await waiting(element, ask);
      const first = model === null;
      model = modelOf(answer);
      missing = false;
      fill(state);
      tools.hidden = body.hidden = false;
      if (first) begin();
      else view.grow(model.length);
      setTitle(`${line(model.trace.name, 60)} ${duration(model.trace.duration_ns)}`);
      drawHead();
      map.show(model);
      draw();
      if (first) arrive();
      else update(new URLSearchParams(location.search));
    } catch (error) {
      if (error.name === "AbortError") return;
      missing = error instanceof Problem && error.status === 404;
      if (model && !missing) return; // what is shown is still true; the banner says that the server is gone
      model = null;
      tools.hidden = body.hidden = true;
      fill(why);
      fill(head, h("h1", { tabindex: "-1" }, "Trace"));
      fill(state, missing
        ? emptyNote("No such trace here", h("p", null, "The store has no trace ", h("code", null, line(id, 32)), ". It may have been erased by age or size, or its first spans have not arrived: then it shows here by itself."), h("p", null, h("a", { class: "button", href: "/view/traces" }, "All traces")))
        : problemNote(error, () => load()));
    }
  }

  function begin() {
    view.length = model.length;
    const [from, to] = (query.get("zoom") ?? "").split("-").map(Number);
    view.from = 0;
    view.to = model.length;
    if (to > from) view.show(from, to);
  }

  function arrive() {
    const q = query.get("find");
    if (q) {
      box.value = q;
      find();
    }
    update(query);
    const i = model.index.get(chosen() ?? "");
    if (i !== undefined) reveal(i);
    else grid.focus();
  }

  function drawHead() {
    const { trace } = model;
    const many = model.services.length;
    const linked = model.links.out.length + model.links.in.length;
    fill(head,
      h("div", { class: "trace-title" },
        h("h1", { tabindex: "-1", dir: "auto" }, line(trace.name, 120)), outcome(trace), h("strong", { class: "took number" }, duration(trace.duration_ns)), marks(trace),
        h("span", { class: "grow" }),
        h("div", { class: "bar" },
          h("button", { type: "button", class: "button", ...named("Copy link"), on: { click: () => copy(location.href, "Link copied") } }, icon("link"), h("span", null, "Copy link")),
          h("button", { type: "button", class: "button", ...named("Copy JSON"), on: { click: copyJson } }, icon("copy"), h("span", null, "Copy JSON")),
          h("a", { class: "button", ...named("Compare"), href: `/view/compare?a=${trace.trace_id}` }, icon("compare"), h("span", null, "Compare")),
          live.state?.jaeger_url && h("a", { class: "button", href: `${live.state.jaeger_url.replace(/\/+$/, "")}/trace/${trace.trace_id}`, target: "_blank", rel: "noopener noreferrer", ...named("Open in Jaeger") }, icon("out"), h("span", null, "Open in Jaeger")))),
      h("dl", { class: "trace-facts" },
        fact("Began", timeElement(model.start_unix_nano)),
        trace.run_id && fact("Run", h("button", { type: "button", class: "link mono", title: `Copy ${line(trace.run_id, 64)}`, on: { click: () => copy(trace.run_id, "Run id copied") } }, line(trace.run_id, 16))),
        fact("Trace", h("button", { type: "button", class: "link mono", title: `Copy ${trace.trace_id}`, on: { click: () => copy(trace.trace_id, "Trace id copied") } }, trace.trace_id.slice(0, 16))),
        trace.workflow && fact("Workflow", line(trace.workflow, 60)),
        fact(many === 1 ? "Service" : "Services", line(model.services.slice(0, 3).join(", "), 80) + (many > 3 ? ` and ${many - 3} more` : "")),
        trace.version && fact("Version", line(trace.version, 30)),
        fact("Spans", [count(trace.spans), trace.errors > 0 && h("span", { class: "tag bad" }, counted(trace.errors, "error"))]),
        model.orphans > 0 && !trace.under_way && fact("Orphans", h("span", { class: "tag warn", title: "Their parents are not in the store" }, count(model.orphans)))),
      h("div", { class: "trace-stages" }, stageSummary(trace), linked > 0 && linkList(linked)));
    drawWhy();
    fill(nextError, icon("skip"), "Errors", h("span", { class: "count" }, count(model.errors.length)));
    nextError.hidden = model.errors.length === 0;
  }

  /** Where it is narrow an icon is all that such a button shows. */
  const named = (label) => ({ "aria-label": label, title: label });
  const fact = (name, value) => h("div", null, h("dt", null, name), h("dd", null, value));

  function linkList(linked) {
    return h("details", { class: "linked" }, h("summary", null, icon("link"), counted(linked, "linked trace")), h("div", { class: "linked-list" },
      model.links.out.slice(0, 100).map((one) => linkRow("to", one.trace_id, one.target_span_id, one.trace)),
      model.links.in.slice(0, 100).map((one) => linkRow("from", one.trace_id, one.span_id, one.trace)),
      linked > 200 && h("p", { class: "muted" }, "The details of a span have all of its links.")));
  }

  /** Errors first: what failed, in its own words, before anything else. */
  function drawWhy() {
    const { trace, causes, spans, logs_left_out: left } = model;
    const last = causes.at(-1);
    fill(why,
      last !== undefined && h("button", { type: "button", class: `note ${outcomeBad(trace) ? "bad" : "warn"}`, on: { click: () => (open(last), reveal(last)) } },
        icon(outcomeBad(trace) ? "cross" : "alert"), h("span", { class: "one-line grow", dir: "auto" }, h("strong", null, line(spans[last].name, 60)), spans[last].status_message ? `: ${line(spans[last].status_message, 200)}` : " failed",
          causes.length > 1 && h("span", { class: "muted" }, ` and ${counted(causes.length - 1, "more error")}`), !outcomeBad(trace) && h("span", { class: "muted" }, ", and the trace went on"))),
      trace.under_way && h("p", { class: "muted", role: "status" }, "Under way: what is done so far is shown, and more as it comes. Its root span comes when the run ends."),
      left > 0 && h("p", { class: "muted" }, `${counted(left, "log record")} left out here; `, h("a", { href: `/view/logs?trace_id=${trace.trace_id}` }, "all logs of this trace")));
  }

  const outcomeBad = (trace) => trace.outcome === "failed" || (trace.outcome === null && spans0Failed());
  const spans0Failed = () => model.spans[0]?.error;

  function draw() {
    if (!model) return;
    const rows = rowsOf(model, { collapsed, notes: flag("notes"), criticalOnly: flag("critical") });
    grid.show(model, rows, { collapsed, found: new Set(hits) });
    map.element.classList.toggle("zoomed", !view.whole);
    zoomed.disabled = view.whole;
  }

  function fold(i, deep) {
    const span = model.spans[i];
    const shut = !collapsed.has(span.span_id);
    for (let at = i; at < (deep ? model.end[i] : i + 1); at++) {
      if (shut && model.kids[at].length) collapsed.add(model.spans[at].span_id);
      else collapsed.delete(model.spans[at].span_id);
    }
    draw();
  }

  function foldAll() {
    const some = model.spans.flatMap((span, i) => (span.depth >= 1 && model.kids[i].length ? [span.span_id] : []));
    const shut = some.some((one) => !collapsed.has(one));
    for (const one of some) shut ? collapsed.add(one) : collapsed.delete(one);
    draw();
  }

  /** Select a span and show its details. */
  function open(i) {
    setQuery({ span: model.spans[i].span_id });
  }

  function shut() {
    setQuery({ span: null });
    grid.focus();
  }

  /** Go to a span wherever it is: unfold what hides it. */
  function reveal(i) {
    let changed = false;
    for (let at = model.parent[i]; at >= 0; at = model.parent[at]) changed = collapsed.delete(model.spans[at].span_id) || changed;
    if (flag("critical") && !model.critical.has(model.spans[i].span_id)) setQuery({ critical: null });
    if (changed) draw();
    const span = model.spans[i];
    if (span.start_ns > view.to || span.start_ns + span.duration_ns < view.from) view.show(span.start_ns - view.span / 4, span.start_ns + view.span * 0.75);
    grid.select(i, false);
    open(i);
  }

  function zoomTo(i) {
    const span = model.spans[i];
    const margin = Math.max(1000, span.duration_ns * 0.05);
    view.show(span.start_ns - span.wait_ns - margin, span.start_ns + span.duration_ns + margin);
  }

  function jump(by) {
    if (!model?.errors.length) return;
    const here = grid.current;
    const list = by > 0 ? model.errors : [...model.errors].reverse();
    const to = list.find((i) => (by > 0 ? i > here : i < here)) ?? list[0];
    reveal(to);
    announce(`Error: ${line(model.spans[to].name, 80)}, ${line(model.spans[to].status_message, 120)}`);
  }

  function find() {
    hits = search(model, box.value);
    setQuery({ find: box.value }, { quiet: true });
    found.textContent = box.value ? `${count(hits.length)}` : "";
    draw();
    if (hits.length && box.value.length > 1) grid.select(hits.find((i) => visible(i)) ?? hits[0], false);
  }

  const visible = (i) => {
    for (let at = model.parent[i]; at >= 0; at = model.parent[at]) if (collapsed.has(model.spans[at].span_id)) return false;
    return true;
  };

  function nextHit(by) {
    if (!hits.length) return;
    const here = grid.current;
    const list = by > 0 ? hits : [...hits].reverse();
    const to = list.find((i) => (by > 0 ? i > here : i < here)) ?? list[0];
    reveal(to);
    found.textContent = `${hits.indexOf(to) + 1} of ${count(hits.length)}`;
  }

  async function copyJson() {
    try {
      const whole = await get(`traces/${id}/json`, {}, signal);
      await copy(JSON.stringify(whole, null, 2), "JSON copied");
    } catch (error) {
      if (error.name !== "AbortError") toast(line(error.message, 120));
    }
  }

  function update(current) {
    if (!model) return;
    notes.setAttribute("aria-pressed", String(current.get("notes") === "true"));
    critical.setAttribute("aria-pressed", String(current.get("critical") === "true"));
    const how = `${current.get("notes")}${current.get("critical")}`;
    if (how !== shownAs) {
      shownAs = how;
      draw();
    }
    const i = model.index.get(current.get("span") ?? "");
    element.classList.toggle("with-details", i !== undefined);
    if (i === undefined) panel.hide();
    else {
      panel.show(model, i);
      if (grid.current !== i) grid.select(i, false);
    }
  }
  let shownAs = "";
  let zoomTimer = 0;

  view.addEventListener("change", () => {
    map.element.classList.toggle("zoomed", !view.whole);
    zoomed.disabled = view.whole;
    clearTimeout(zoomTimer);
    zoomTimer = setTimeout(() => !signal.aborted && setQuery({ zoom: view.whole ? null : `${Math.round(view.from)}-${Math.round(view.to)}` }, { quiet: true }), 250);
  });
  live.subscribe((event) => {
    if (event === "state" && model && live.state.jaeger_url && !head.querySelector("[target=_blank]")) drawHead();
    if (event !== "changed" && !(event === "online" && live.online)) return;
    const settled = model && !model.trace.under_way && Date.now() - (model.start_unix_nano + model.duration_ns) / 1e6 > SETTLED_MS;
    if (!settled) load(true);
  }, signal);
  signal.addEventListener("abort", () => (memory.collapsed = [...collapsed]));
  load();

  return {
    element, update,
    keys: {
      e: () => jump(1), E: () => jump(-1), c: () => critical.click(), l: () => notes.click(), i: () => view.zoom(0.5), o: () => view.zoom(2), "+": () => view.zoom(0.5), 0: () => view.reset(), "-": foldAll,
      z: () => model && zoomTo(grid.current), "/": () => (box.focus(), box.select()), n: () => nextHit(1), N: () => nextHit(-1), Escape: () => (chosen() ? shut() : false),
      "[": () => view.pan(-0.2), "]": () => view.pan(0.2), ArrowDown: () => (grid.focus(), false), ArrowUp: () => (grid.focus(), false),
    },
    help: [["↑ ↓", "up and down"], ["← →", "fold, unfold, to the parent"], ["Home End", "first, last span"], ["Enter", "details"], ["Esc", "close the details"], ["e E", "next error, the one before"], ["c", "critical path only"], ["l", "logs and events"], ["/ n N", "find, next, the one before"], ["i o", "zoom in, out (or Ctrl and the wheel)"], ["z 0", "zoom to the span, to all"], ["[ ]", "move in time (or Shift and the wheel)"], ["-", "fold or unfold all"]],
  };
}
