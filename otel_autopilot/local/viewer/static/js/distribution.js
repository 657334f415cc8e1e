// A distribution's percentiles on one scale: a bar to the median, thinner on to p95 and p99.

import { h } from "./dom.js";
import { duration } from "./format.js";

/** @param {any} dist DIST @param {number} whole nanoseconds of the full width @param {string} kind "work" or "wait" */
export function spread(dist, whole, kind) {
  if (!dist.count) return h("div", { class: "spread" });
  const at = (ns) => `${Math.min(100, (100 * ns) / whole).toFixed(2)}%`;
  return h("div", { class: `spread ${kind}`, role: "img", "aria-label": `median ${duration(dist.p50_ns)}, p95 ${duration(dist.p95_ns)}, p99 ${duration(dist.p99_ns)}`, title: `p50 ${duration(dist.p50_ns)}\np95 ${duration(dist.p95_ns)}\np99 ${duration(dist.p99_ns)}\nmost ${duration(dist.max_ns)}` },
    h("i", { class: "p99", style: { width: at(dist.p99_ns) } }), h("i", { class: "p95", style: { width: at(dist.p95_ns) } }), h("i", { class: `p50 ${kind === "wait" ? "hatched" : ""}`, style: { width: at(dist.p50_ns) } }));
}
