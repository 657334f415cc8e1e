// The bar of one span: its wait, its work, what of it is its own, what of it the trace's end waited for, its events.

import { h } from "./dom.js";
import { duration } from "./format.js";
import { criticalTime, ownTime, waitBelow } from "./trace-model.js";
import { line } from "./text.js";

/** More pieces than this are too thin to see. */
const MOST_PIECES = 60;

/**
 * @param {import("./trace-model.js").Model} model
 * @param {number} i
 * @param {import("./time-window.js").TimeWindow} view
 * @param {number} width pixels that `view` has
 * @returns {(Node | false)[]}
 */
export function bar(model, i, view, width) {
  const span = model.spans[i];
  const end = span.start_ns + span.duration_ns;
  const parts = [];
  if (span.wait_ns > 0) parts.push(piece(view, span.start_ns - span.wait_ns, span.start_ns, "wait hatched"));
  const body = piece(view, span.start_ns, end, `work${span.error ? " error" : ""}${span.lost ? " lost" : ""}${model.kids[i].length ? "" : " own"}`);
  parts.push(body);
  const pixels = (from, to) => ((Math.min(to, view.to) - Math.max(from, view.from)) / view.span) * width;
  const visible = ([from, to]) => pixels(from, to) >= 0.7;
  if (model.kids[i].length && !span.lost) {
    // What waits below is nobody's work: solid, it would look like this span's own.
    const { own, waiting } = ownTime(model, i);
    parts.push(...own.filter(visible).slice(0, MOST_PIECES).map(([from, to]) => piece(view, from, to, `self${span.error ? " error" : ""}`)));
    parts.push(...waiting.filter(visible).slice(0, MOST_PIECES).map(([from, to]) => piece(view, from, to, "self-wait hatched")));
  }
  parts.push(...(model.critical.get(span.span_id) ?? []).filter((one) => pixels(one.from_ns, one.to_ns) >= Math.min(0.4, pixels(span.start_ns, end) / 2)).slice(0, MOST_PIECES).map((one) => piece(view, one.from_ns, one.to_ns, "critical")));
  parts.push(...span.events.slice(0, MOST_PIECES).map((event) => inside(view, event.time_ns) && h("i", { class: `event${event.name === "exception" ? " bad" : ""}`, style: { left: percentage(view.place(event.time_ns)) } })));
  parts.push(words(span, view, width));
  return parts;
}

const inside = (view, time) => time >= view.from && time <= view.to;
const percentage = (share) => `${(100 * share).toFixed(4)}%`;

function piece(view, from, to, kind) {
  if (to < view.from || from > view.to) return false;
  const left = Math.max(0, view.place(from));
  const right = Math.min(1, view.place(to));
  return h("i", { class: kind, style: { left: percentage(left), width: percentage(Math.max(0, right - left)) } });
}

/** What is worth knowing of the span, beside its bar: behind it, else in front of it, else nowhere. */
function words(span, view, width) {
  const text = line(span.error && span.status_message && !span.facts ? span.status_message : span.facts, 90);
  const away = span.start_ns + span.duration_ns < view.from ? "←" : span.start_ns > view.to ? "→" : "";
  if (away) return h("span", { class: `words ${away === "←" ? "gone-left" : "gone-right"}`, "aria-hidden": "true" }, away);
  if (!text) return false;
  const needed = text.length * 6.2 + 16;
  const behind = (1 - Math.min(1, view.place(span.start_ns + span.duration_ns))) * width;
  const before = Math.max(0, view.place(span.start_ns - span.wait_ns)) * width;
  if (behind >= Math.min(needed, 90)) return h("span", { class: "words", dir: "auto", style: { left: `calc(${percentage(view.place(span.start_ns + span.duration_ns))} + 8px)`, "max-width": `${Math.max(0, behind - 12)}px` } }, text);
  if (before >= needed) return h("span", { class: "words", dir: "auto", style: { right: `calc(${percentage(1 - view.place(span.start_ns - span.wait_ns))} + 8px)` } }, text);
  return false;
}

/** The same in words, for who can't see it. */
export function barInWords(model, i) {
  const span = model.spans[i];
  const critical = criticalTime(model, i);
  const waits = waitBelow(model, i);
  return [
    `starts at ${duration(span.start_ns)}`, `takes ${duration(span.duration_ns)}`, span.wait_ns > 0 && `after waiting ${duration(span.wait_ns)}`,
    waits > 0 && `${duration(waits)} of it while what is below waited`,
    critical > 0 && `${duration(critical)} of it on the critical path`, span.lost && "lost with its process", span.error && `error ${line(span.status_message, 80)}`, line(span.facts, 80),
  ].filter(Boolean).join(", ");
}
