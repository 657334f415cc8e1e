// Where the time goes, over a range.

import { get } from "../api.js";
import { spread } from "../distribution.js";
import { h, fill } from "../dom.js";
import { asTime, choice, range, segments } from "../filters.js";
import { count, duration, percent } from "../format.js";
import { heatmap } from "../heatmap.js";
import { live } from "../live.js";
import { STAGES, stageLegend, WHOLE } from "../stages.js";
import { asking, problemNote, waiting } from "../states.js";
import { line } from "../text.js";
import { traceList } from "../trace-list.js";
import { firstTrace } from "../first-trace.js";

const FILTERS = ["from", "to", "service", "workflow", "version"];
const INITIAL = "24h";

/** @param {import("../router.js").Context} context @returns {import("../router.js").Page} */
export function create({ query, signal, setQuery }) {
  const nextBreakdown = asking(signal);
  const nextHeat = asking(signal);
  const nextBehind = asking(signal);
  const change = (changes) => setQuery({ ...changes, cell: null }, { push: true });
  const fields = [range({ any: null, initial: INITIAL, change }), choice({ name: "service", label: "Service", facet: "services", change }), choice({ name: "workflow", label: "Workflow", facet: "workflows", change }), choice({ name: "version", label: "Version", facet: "versions", change })];
  const now = () => new URLSearchParams(location.search);
  const wanted = () => ({ ...Object.fromEntries(FILTERS.map((name) => [name, now().get(name)])), from: now().get("from") ?? INITIAL });

  const tiles = h("dl", { class: "tiles" });
  const whole = h("div", { class: "whole" });
  const table = h("div", { class: "scrolls" });
  const problem = h("div");
  const parts = h("div", { class: "fades stack" });
  const stageChoice = segments({ label: "Of what", options: [[WHOLE, "Whole email"], ...STAGES.map((one) => [one, one])], chosen: (value) => setQuery({ stage: value === WHOLE ? null : value, cell: null }, { push: true }) });
  const measureChoice = segments({ label: "Work or wait", options: [["work", "Work"], ["wait", "Queue wait"]], chosen: (value) => setQuery({ measure: value === "work" ? null : value, cell: null }, { push: true }) });
  const heat = heatmap({ signal, chosen: (piece) => setQuery({ cell: [asTime(piece.from), asTime(piece.to), piece.low, piece.high].map(String).join("~") }, { push: true }) });
  const behind = h("div", { class: "behind", role: "region", "aria-label": "Traces behind the selection", "aria-live": "polite" });
  const heatCard = h("section", { class: "card" }, h("header", null, h("h2", null, "Durations over time"), stageChoice.element, measureChoice.element), h("div", { class: "inside" }, heat.element, behind));
  fill(parts, tiles,
    h("section", { class: "card" }, h("header", null, h("h2", null, "Share of the whole"), stageLegend()), h("div", { class: "inside" }, whole)),
    h("section", { class: "card" }, h("header", null, h("h2", null, "Stages")), table), heatCard);
  const element = h("div", { class: "page" }, h("div", { class: "page-head" }, h("h1", { tabindex: "-1" }, "Latency")), h("div", { class: "filters", role: "group", "aria-label": "Filters" }, fields.map((one) => one.element)), problem, parts);

  async function load(quietly = false) {
    const ask = async () => {
      const [breakdown, cells] = await Promise.all([get("breakdown", wanted(), nextBreakdown()), get("heatmap", heatParams(), nextHeat())]);
      fill(problem);
      draw(breakdown);
      drawHeat(cells);
    };
    try {
      await (quietly ? ask() : waiting(element, ask));
    } catch (error) {
      failed(error);
    }
  }

  function failed(error) {
    if (error.name === "AbortError") return;
    parts.hidden = true;
    fill(problem, problemNote(error, () => load()));
  }

  const stage = () => now().get("stage") ?? WHOLE;
  const measure = () => now().get("measure") ?? "work";
  const heatParams = () => ({ ...wanted(), stage: stage(), measure: stage() === WHOLE ? null : measure(), columns: Math.max(20, Math.min(90, Math.floor((innerWidth - 120) / 14))) });

  function draw(answer) {
    const { emails, stages } = answer;
    parts.hidden = false;
    const empty = emails.count === 0;
    tiles.hidden = empty;
    for (const card of parts.querySelectorAll(".card")) card.hidden = empty;
    if (empty) {
      fill(problem, live.state?.traces ? h("div", { class: "empty" }, h("h2", null, "No email in this range"), h("p", null, "Choose a longer one, or other filters.")) : firstTrace(true));
      return;
    }
    const tile = (name, value, bad = false) => h("div", { class: "tile" }, h("dt", null, name), h("dd", { class: bad ? "bad" : "" }, value));
    fill(tiles, tile("Emails", count(emails.count)), tile("Failed", count(emails.failed), emails.failed > 0), tile("Under way", count(emails.under_way)), tile("Median", duration(emails.duration.p50_ns)), tile("p95", duration(emails.duration.p95_ns)), tile("p99", duration(emails.duration.p99_ns)), tile("Longest", duration(emails.duration.max_ns)));
    drawWhole(stages, answer.other_share);
    drawTable(stages);
  }

  function drawWhole(stages, other) {
    const named = (share, text) => share >= 0.07 && h("span", null, text);
    const parts = stages.flatMap((one) => {
      const key = STAGES.includes(one.stage) ? one.stage : "other";
      return [
        one.wait_share > 0.001 && h("i", { class: "hatched", data: { stage: key }, title: `waiting for ${one.stage}: ${percent(one.wait_share)}`, style: { "flex-grow": String(one.wait_share) } }),
        h("i", { class: "work", data: { stage: key }, title: `${one.stage}: ${percent(one.share)}`, style: { "flex-grow": String(one.share) } }, named(one.share, percent(one.share))),
      ];
    });
    const waits = stages.reduce((sum, one) => sum + one.wait_share, 0);
    fill(whole,
      h("div", { class: "whole-bar", role: "img", "aria-label": `${stages.map((one) => `${one.stage} ${percent(one.share)}, waiting for it ${percent(one.wait_share)}`).join("; ")}; other ${percent(other)}` }, parts, other > 0.001 && h("i", { class: "rest", title: `other: ${percent(other)}`, style: { "flex-grow": String(other) } })),
      h("p", { class: "muted" }, `Of all the time these emails took, ${percent(stages.reduce((sum, one) => sum + one.share, 0))} was work in a stage, ${percent(waits)} waiting for one`, other > 0.001 ? `, ${percent(other)} neither.` : "."));
  }

  function drawTable(stages) {
    const most = Math.max(1, ...stages.flatMap((one) => [one.work.p99_ns ?? 0, one.wait.p99_ns ?? 0]));
    const link = (one, kind) => `/view/?${new URLSearchParams(Object.entries({ ...wanted(), stage: one.stage, ...kind }).filter(([, value]) => value))}`;
    const cells = (dist) => ["p50_ns", "p95_ns", "p99_ns"].map((key) => h("td", { class: "num" }, duration(dist[key])));
    fill(table, h("table", { class: "plain stages" },
      h("thead", null,
        h("tr", null, h("th", { rowspan: "2", scope: "col" }, "Stage"), h("th", { colspan: "4", scope: "colgroup", class: "group" }, "Work"), h("th", { colspan: "4", scope: "colgroup", class: "group" }, "Queue wait before it"), h("th", { rowspan: "2", class: "num", scope: "col" }, "Share"), h("th", { rowspan: "2", class: "num", scope: "col" }, "Attempts"), h("th", { rowspan: "2", class: "num", scope: "col" }, "Errors"), h("th", { rowspan: "2", class: "num", scope: "col" }, "Retries"), h("th", { rowspan: "2", class: "num", scope: "col" }, "Lost")),
        h("tr", null, [0, 1].map(() => [h("td", { class: "wide-cell" }), ["p50", "p95", "p99"].map((one) => h("th", { class: "num", scope: "col" }, one))]))),
      h("tbody", null, stages.map((one) => h("tr", { data: { stage: STAGES.includes(one.stage) ? one.stage : "other" } },
        h("th", { scope: "row" }, h("span", { class: "with-swatch" }, h("i", { class: "swatch" }), line(one.stage, 40))),
        h("td", { class: "wide-cell" }, spread(one.work, most, "work")), cells(one.work), h("td", { class: "wide-cell" }, spread(one.wait, most, "wait")), cells(one.wait),
        h("td", { class: "num" }, percent(one.share)), h("td", { class: "num" }, h("a", { href: link(one, {}) }, count(one.attempts))),
        h("td", { class: "num" }, one.errors ? h("a", { class: "outcome failed", href: link(one, { errors: "true" }) }, count(one.errors)) : "0"), h("td", { class: "num" }, count(one.retries)), h("td", { class: "num" }, count(one.lost)))))));
  }

  function cell() {
    const [from, to, low, high] = (now().get("cell") ?? "").split("~").map(Number);
    return high > 0 ? { from: from * 1e9, to: to * 1e9, low, high } : null;
  }

  function drawHeat(cells) {
    stageChoice.show(stage());
    measureChoice.show(measure());
    measureChoice.element.hidden = stage() === WHOLE;
    heat.show(cells, cell());
  }

  async function loadBehind() {
    const piece = cell();
    behind.hidden = !piece;
    if (!piece) return fill(behind);
    const { service, workflow, version } = wanted();
    const filters = { service, workflow, version, stage: stage() === WHOLE ? null : stage(), measure: stage() === WHOLE || measure() === "work" ? null : measure(), from: asTime(piece.from), to: asTime(piece.to), min_ms: piece.low / 1e6, max_ms: piece.high / 1e6 };
    const href = `/view/?${new URLSearchParams(Object.entries(filters).filter(([, value]) => value !== null))}`;
    try {
      const answer = await get("traces", { ...filters, limit: 20 }, nextBehind());
      return fill(behind, h("header", null, h("h3", null, `${count(answer.traces.length)}${answer.next ? "+" : ""} traces, ${stage() === WHOLE ? "whole email" : `${line(stage(), 40)} ${measure()}`} of ${duration(piece.low)} to ${duration(piece.high)}`), h("a", { href }, "Open as a list"), h("button", { type: "button", class: "button quiet", on: { click: () => setQuery({ cell: null }) } }, "Close")), traceList(answer.traces));
    } catch (error) {
      if (error.name !== "AbortError") fill(behind, problemNote(error, loadBehind));
      return undefined;
    }
  }

  let shown = "";
  let cellShown = "";
  function update(current) {
    for (const field of fields) field.show(current);
    const key = JSON.stringify(wanted());
    const part = `${stage()} ${measure()}`;
    if (key !== shown) load();
    else if (part !== cellShown.split("|")[0]) get("heatmap", heatParams(), nextHeat()).then(drawHeat, failed);
    const cellKey = `${part}|${key}|${now().get("cell")}`;
    if (cellKey !== cellShown) loadBehind();
    cellShown = cellKey;
    shown = key;
  }

  let last = 0;
  live.subscribe((event) => {
    // A breakdown goes over the whole range: often enough is every ten seconds.
    if (event !== "changed" || now().get("to") || Date.now() - last < 10_000) return;
    last = Date.now();
    load(true);
  }, signal);
  update(query);
  return { element, update, help: [["← → ↑ ↓", "in the heat map: move between cells"], ["Shift", "with them: select more"], ["Enter", "the traces behind"]] };
}
