// The four stages, outcomes and their looks.

import { h } from "./dom.js";
import { count, duration, percent } from "./format.js";
import { icon } from "./icons.js";
import { line } from "./text.js";

export const STAGES = ["email", "ingestion", "digest", "delivery"];
/** How the API calls the whole of an email where a stage is asked for. */
export const WHOLE = "email pipeline";

/** @param {any} trace TRACE @returns {{kind: string, label: string, icon: string}} */
export function outcomeOf(trace) {
  if (trace.under_way) return { kind: "running", label: "under way", icon: "run" };
  const outcome = trace.outcome ?? (trace.errors ? "error" : "ok");
  if (outcome === "success" || outcome === "ok") return { kind: "success", label: outcome, icon: "check" };
  if (outcome === "rejected") return { kind: "rejected", label: "rejected", icon: "minus" };
  if (outcome === "failed" || outcome === "error") return { kind: "failed", label: outcome, icon: "cross" };
  return { kind: "warn", label: line(outcome, 40), icon: "alert" };
}

/** Icon and word; never colour alone. */
export function outcome(trace) {
  const { kind, label, icon: name } = outcomeOf(trace);
  return h("span", { class: `outcome ${kind}` }, icon(name), label);
}

/** Attempts beyond the first of each stage, and attempts that were lost with their process. */
export function marks(trace) {
  const retries = Object.values(trace.stages ?? {}).reduce((sum, one) => sum + Math.max(0, one.attempts - 1), 0);
  const lost = Object.values(trace.stages ?? {}).reduce((sum, one) => sum + one.lost, 0);
  return [
    lost > 0 && h("span", { class: "tag bad", title: "The process that worked on it died; another took over" }, icon("ghost"), `${lost} lost`),
    retries > 0 && h("span", { class: "tag warn", title: "Attempts after the first" }, icon("retry"), retries === 1 ? "1 retry" : `${retries} retries`),
  ];
}

/** Stages of a trace in the order in which mail passes them; others behind. */
export function ordered(stages) {
  return Object.entries(stages ?? {}).sort(([a], [b]) => place(a) - place(b));
}

const place = (stage) => (STAGES.includes(stage) ? STAGES.indexOf(stage) : STAGES.length);

/**
 * A trace's stages as one bar: wait hatched, work in the stage's colour, the rest left blank.
 * @param {any} trace TRACE
 * @param {number} [scale] nanoseconds of the whole width; the trace's own length when left out
 */
export function stageBar(trace, scale) {
  const stages = ordered(trace.stages);
  const sum = stages.reduce((total, [, one]) => total + one.work_ns + one.wait_ns, 0);
  const whole = Math.max(scale ?? 0, trace.duration_ns, scale ? 0 : sum, 1);
  const squeeze = scale && sum > trace.duration_ns && sum > 0 ? trace.duration_ns / sum : 1;
  const said = stages.map(([stage, one]) => `${stage} ${duration(one.work_ns)}${one.wait_ns >= 1e6 ? ` after ${duration(one.wait_ns)} of waiting` : ""}`);
  const bar = h("div", { class: "stage-bar", role: "img", "aria-label": said.join(", ") || "no stages", title: said.join("\n") });
  if (scale) bar.style.setProperty("width", `${Math.max(0.5, (100 * trace.duration_ns) / whole)}%`);
  const part = (scale ? trace.duration_ns : whole) || 1;
  for (const [stage, one] of stages) {
    if (one.wait_ns * squeeze > part * 0.004) bar.append(piece(stage, one.wait_ns * squeeze / part, "hatched"));
    bar.append(piece(stage, one.work_ns * squeeze / part, one.errors && one.errors >= one.attempts ? "work failed" : one.lost ? "work lost" : "work"));
  }
  return bar;
}

function piece(stage, share, kind) {
  return h("i", { class: kind, data: { stage: STAGES.includes(stage) ? stage : "other" }, style: { "flex-basis": `${(100 * share).toFixed(3)}%` } });
}

/** What the colours mean. */
export function stageLegend(stages = STAGES) {
  return h("div", { class: "legend" },
    stages.map((stage) => h("span", { data: { stage: STAGES.includes(stage) ? stage : "other" } }, h("i", { class: "swatch" }), line(stage, 40))),
    h("span", null, h("i", { class: "swatch hatched", style: { "background-color": "transparent", "--stage": "var(--muted)" } }), "waiting"));
}

/** Work, wait and attempts of each stage of one trace. */
export function stageSummary(trace) {
  const whole = trace.duration_ns || 1;
  return h("ul", { class: "stage-summary" }, ordered(trace.stages).map(([stage, one]) =>
    h("li", { data: { stage: STAGES.includes(stage) ? stage : "other" } },
      h("i", { class: "swatch" }), h("span", { class: "name" }, line(stage, 30)), h("strong", { class: "number" }, duration(one.work_ns)),
      h("span", { class: "muted number" }, percent(one.work_ns / whole)),
      one.wait_ns > 0 && h("span", { class: "muted number", title: "Queue wait before it" }, `+ ${duration(one.wait_ns)} wait`),
      one.attempts > 1 && h("span", { class: "tag warn" }, `${count(one.attempts)} attempts`),
      one.lost > 0 && h("span", { class: "tag bad" }, `${count(one.lost)} lost`))));
}
