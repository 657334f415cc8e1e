// Everything about one span.

import { get } from "./api.js";
import { h, fill } from "./dom.js";
import { clock, duration, percent, timeElement } from "./format.js";
import { icon } from "./icons.js";
import { copy } from "./say.js";
import { asking, problemNote } from "./states.js";
import { line, long, plain } from "./text.js";
import { criticalTime, waitBelow } from "./trace-model.js";

/**
 * @param {{signal: AbortSignal, close: () => void, goTo: (i: number) => void, zoomTo: (i: number) => void}} options
 */
export function details({ signal, close, goTo, zoomTo }) {
  const next = asking(signal);
  const element = h("aside", { class: "details", "aria-label": "Span details", hidden: true, tabindex: "-1" });
  const rest = h("div", { class: "details-rest" });
  let shown = "";

  /** @param {import("./trace-model.js").Model} model @param {number} i */
  async function show(model, i) {
    const span = model.spans[i];
    const key = `${span.span_id}${span.duration_ns}${span.logs}`;
    element.hidden = false;
    if (shown === key) return;
    const other = !shown.startsWith(span.span_id);
    shown = key;
    fill(element, header(model, i), rest);
    element.dataset.stage = span.stage || "";
    if (other) {
      element.scrollTop = 0;
      fill(rest);
    }
    const mine = next();
    try {
      const answer = await get(`traces/${model.trace.trace_id}/spans/${span.span_id}`, {}, mine);
      fill(rest, body(model, i, answer));
    } catch (error) {
      if (error.name !== "AbortError") fill(rest, problemNote(error, () => ((shown = ""), show(model, i))));
    }
  }

  function header(model, i) {
    const span = model.spans[i];
    const critical = criticalTime(model, i);
    const waits = waitBelow(model, i);
    const parent = model.parent[i];
    const facts = [
      ["Begins", [`+${duration(span.start_ns)}`, h("span", { class: "muted" }, " at ", timeElement(model.start_unix_nano + span.start_ns))]],
      ["Duration", [h("strong", null, duration(span.duration_ns)), h("span", { class: "muted" }, ` ${percent(span.duration_ns / model.length)} of the trace`)]],
      model.kids[i].length > 0 && ["Self", [duration(span.self_ns), h("span", { class: "muted" }, " while no child ran", waits > 0 && `, ${duration(waits)} of it waiting`)]],
      span.wait_ns > 0 && ["Queue wait", [duration(span.wait_ns), h("span", { class: "muted" }, " before it began")]],
      critical > 0 && ["Critical path", [duration(critical), h("span", { class: "muted" }, ` ${percent(critical / model.length)} of the trace waited for it`)]],
      span.attempt > 0 && ["Attempt", [String(span.attempt), span.lost && h("span", { class: "outcome failed" }, " lost: its process died")]],
    ].filter(Boolean);
    return [
      h("header", null,
        h("i", { class: "swatch" }), h("h2", { class: "grow", dir: "auto" }, line(span.name, 200)),
        h("button", { type: "button", class: "button quiet square", title: "Zoom to it (z)", "aria-label": "Zoom to this span", on: { click: () => zoomTo(i) } }, icon("search")),
        h("button", { type: "button", class: "button quiet square", title: "Copy a link to it", "aria-label": "Copy a link to this span", on: { click: () => copy(`${location.origin}/view/traces/${model.trace.trace_id}?span=${span.span_id}`, "Link copied") } }, icon("link")),
        h("button", { type: "button", class: "button quiet square", title: "Close (Esc)", "aria-label": "Close details", on: { click: close } }, icon("cross"))),
      span.error && h("div", { class: "note bad" }, icon("cross"), h("div", null, h("strong", null, "Failed"), span.status_message && h("p", null, long(span.status_message)))),
      h("dl", { class: "facts" }, facts.map(([name, value]) => [h("dt", null, name), h("dd", null, value)])),
      parent >= 0 && h("p", { class: "up" }, h("span", { class: "muted" }, "Below "), h("button", { type: "button", class: "link", on: { click: () => goTo(parent) } }, line(model.spans[parent].name, 60))),
    ];
  }

  function body(model, i, { span, logs }) {
    const { links } = model;
    const out = links.out.filter((one) => one.span_id === span.span_id);
    const into = links.in.filter((one) => one.target_span_id === span.span_id);
    return [
      section("Attributes", span.attributes, true),
      span.events.length > 0 && part(`Events`, span.events.length, span.events.map((event) => h("div", { class: `moment${event.name === "exception" ? " bad" : ""}` },
        h("p", null, h("strong", { dir: "auto" }, line(event.name, 120)), h("span", { class: "muted number" }, ` +${duration(Math.max(0, event.time_unix_nano - model.start_unix_nano))}`)), pairs(event.attributes)))),
      logs.length > 0 && part("Logs", logs.length, logs.map((log) => h("div", { class: `moment ${log.severity_number >= 17 ? "bad" : log.severity_number >= 13 ? "warn" : ""}` },
        h("p", null, h("strong", null, line(log.severity_text || "LOG", 12)), h("span", { class: "muted number", title: clock(log.time_unix_nano) }, ` +${duration(Math.max(0, log.time_unix_nano - model.start_unix_nano))}`)), h("p", null, long(plain(log.body))), pairs(log.attributes)))),
      (out.length > 0 || into.length > 0) && part("Links", out.length + into.length, [
        out.map((one) => linkRow("to", one.trace_id, one.target_span_id, one.trace)), into.map((one) => linkRow("from", one.trace_id, one.span_id, one.trace))]),
      section("Resource", span.resource, false),
      section("Recorded by", { scope: span.scope?.name ?? "", version: span.scope?.version ?? "", kind: span.kind.replace("SPAN_KIND_", "").toLowerCase(), span_id: span.span_id, parent_span_id: span.parent_span_id ?? "none", trace_id: span.trace_id }, false),
    ];
  }

  element.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    close();
  });
  return { element, show, hide() { element.hidden = true; shown = ""; } };
}

/** A link to a span of another trace. */
export function linkRow(way, traceId, spanId, trace) {
  const text = trace ? line(trace.name, 80) : "a trace that is not in the store";
  return h("p", { class: "link-row" }, h("span", { class: "muted" }, way === "to" ? "→ " : "← "),
    trace ? h("a", { href: `/view/traces/${traceId}?span=${spanId}` }, text) : h("span", null, text),
    h("span", { class: "muted" }, trace ? ` ${trace.run_id ? `run ${line(trace.run_id, 12)} · ` : ""}${duration(trace.duration_ns)} · ${clock(trace.start_unix_nano, false)}` : ` ${line(traceId, 32)}`));
}

function section(title, values, open) {
  const entries = Object.entries(values ?? {});
  return entries.length > 0 && part(title, entries.length, pairs(values), open);
}

function part(title, number, content, open = true) {
  return h("details", { class: "part", open }, h("summary", null, icon("right"), title, h("span", { class: "muted" }, ` ${number}`)), content);
}

/** Keys and values, each with a button to copy it. */
export function pairs(values) {
  const entries = Object.entries(values ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
  return entries.length > 0 && h("dl", { class: "pairs" }, entries.map(([key, value]) => h("div", null, h("dt", { dir: "auto" }, line(key, 120)),
    h("dd", null, value === "" ? h("span", { class: "none" }, "empty") : long(plain(value)), h("button", { type: "button", class: "copy", "aria-label": `Copy ${line(key, 60)}`, title: "Copy", on: { click: () => copy(plain(value)) } }, icon("copy"))))));
}
