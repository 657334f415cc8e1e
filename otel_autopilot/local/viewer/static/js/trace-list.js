// A short list of traces inside another page.

import { h } from "./dom.js";
import { duration, timeElement } from "./format.js";
import { marks, outcome, stageBar } from "./stages.js";
import { line } from "./text.js";

/** @param {any[]} traces TRACEs @param {(trace: any) => any} [last] what stands at the end of a row */
export function traceList(traces, last) {
  return h("ul", { class: "short-list" }, traces.map((trace) => h("li", null,
    h("a", { href: `/view/traces/${trace.trace_id}` },
      outcome(trace), h("span", { class: trace.run_id ? "mono one-line" : "one-line", dir: "auto" }, line(trace.run_id ? trace.run_id.slice(0, 12) : trace.name, 40)), stageBar(trace), h("span", { class: "short-marks" }, marks(trace)),
      h("strong", { class: "number" }, duration(trace.duration_ns)), h("span", { class: "muted" }, timeElement(trace.start_unix_nano, { millis: false }))), last?.(trace))));
}
