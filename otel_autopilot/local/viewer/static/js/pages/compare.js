// Two traces side by side, or two ranges or versions.

import { get } from "../api.js";
import { h, fill } from "../dom.js";
import { choice, range, segments } from "../filters.js";
import { count, counted, delta, duration, percent, timeElement } from "../format.js";
import { icon } from "../icons.js";
import { outcome, ordered, stageBar, STAGES } from "../stages.js";
import { asking, emptyNote, problemNote, waiting } from "../states.js";
import { line } from "../text.js";
import { traceList } from "../trace-list.js";

/** @param {import("../router.js").Context} context @returns {import("../router.js").Page} */
export function create({ query, signal, setQuery, setTitle }) {
  const mode = segments({ label: "Compare what", options: [["traces", "Two traces"], ["ranges", "Two ranges or versions"]], chosen: (value) => setQuery({ of: value === "traces" ? null : value }, { push: true }) });
  const place = h("div", { class: "fades" });
  const element = h("div", { class: "page" }, h("div", { class: "page-head" }, h("h1", { tabindex: "-1" }, "Compare"), mode.element), place);
  const parts = { traces: twoTraces({ signal, setQuery, setTitle, element }), ranges: twoRanges({ signal, setQuery, element }) };

  function update(current) {
    const of = current.get("of") === "ranges" ? "ranges" : "traces";
    mode.show(of);
    if (place.firstChild !== parts[of].element) fill(place, parts[of].element);
    parts[of].update(current);
  }
  update(query);
  return { element, update };
}

function twoTraces({ signal, setQuery, setTitle, element: page }) {
  const next = asking(signal);
  const nextPick = asking(signal);
  const result = h("div");
  const element = h("div", null, result);
  let shown = "";

  async function update(current) {
    const [a, b] = [current.get("a") ?? "", current.get("b") ?? ""];
    const key = `${a} ${b}`;
    if (key === shown) return;
    shown = key;
    if (!a || !b) return choose(a, b);
    try {
      const answer = await waiting(page, () => get("compare/traces", { a, b }, next()));
      setTitle(`Compare ${duration(answer.a.duration_ns)} with ${duration(answer.b.duration_ns)}`);
      return draw(answer);
    } catch (error) {
      if (error.name === "AbortError") return undefined;
      shown = "";
      return fill(result, problemNote(error, () => update(current)), h("p", null, h("button", { type: "button", class: "button", on: { click: () => setQuery({ a: null, b: null }, { push: true }) } }, "Choose other traces")));
    }
  }

  /** One of the two is still to be chosen: by id, or from the latest. */
  async function choose(a, b) {
    const missing = a ? "b" : "a";
    const input = h("input", { type: "text", class: "mono id", placeholder: "trace id or run id", "aria-label": `Trace ${missing.toUpperCase()}`, spellcheck: "false" });
    const wrong = h("p", { class: "outcome failed", role: "alert" });
    const take = async (event) => {
      event.preventDefault();
      try {
        const found = await get("traces", { kind: "all", q: input.value.trim(), limit: 1 });
        if (found.traces.length) setQuery({ [missing]: found.traces[0].trace_id }, { push: true });
        else fill(wrong, "The store has no such trace.");
      } catch (error) {
        fill(wrong, line(error.message, 200));
      }
    };
    const list = h("div");
    fill(result, h("section", { class: "card" },
      h("header", null, h("h2", null, a || b ? "And the other one?" : "Which two traces?"), h("form", { class: "bar", on: { submit: take } }, h("span", { class: "field" }, input), h("button", { type: "submit", class: "button" }, "Take it"))),
      h("div", { class: "inside" }, wrong, h("p", { class: "muted" }, a || b ? "Take one of the latest emails, or give an id." : "Take the first of the latest emails, or give an id. In a list, the boxes at the left choose two."), list)));
    try {
      const [chosen, latest] = await Promise.all([a || b ? get(`traces/${a || b}`, {}, next()).catch(() => null) : null, get("traces", { limit: 25 }, nextPick())]);
      const others = latest.traces.filter((one) => one.trace_id !== (a || b));
      fill(list, chosen && h("div", { class: "bar" }, h("span", { class: "letter" }, a ? "A" : "B"), h("div", { class: "grow" }, traceList([chosen.trace]))), others.length ? traceList(others) : emptyNote("No other email yet"));
      for (const link of list.querySelectorAll(".short-list a")) {
        const id = link.getAttribute("href").split("/").pop();
        if (id !== (a || b)) link.href = `/view/compare?${new URLSearchParams({ ...(a && { a }), ...(b && { b }), [missing]: id })}`;
      }
    } catch (error) {
      if (error.name !== "AbortError") fill(list, problemNote(error, () => choose(a, b)));
    }
  }

  function draw({ a, b, rows }) {
    const longest = Math.max(a.duration_ns, b.duration_ns, 1);
    const most = Math.max(1, ...rows.flatMap((row) => [row.a?.duration_ns ?? 0, row.b?.duration_ns ?? 0]));
    const widest = Math.max(1, ...rows.map((row) => Math.abs(row.delta_ns ?? 0)));
    const swap = h("button", { type: "button", class: "button quiet", on: { click: () => setQuery({ a: b.trace_id, b: a.trace_id }) } }, icon("compare"), "Swap");
    const side = (letter, trace) => h("section", { class: "card side", "aria-label": `Trace ${letter}` },
      h("header", null, h("span", { class: `letter ${letter.toLowerCase()}` }, letter), h("a", { href: `/view/traces/${trace.trace_id}`, class: "grow one-line" }, line(trace.run_id ? `run ${trace.run_id.slice(0, 12)}` : trace.name, 60)), outcome(trace), h("strong", { class: "number" }, duration(trace.duration_ns))),
      ordered(trace.stages).length > 0 && h("div", { class: "side-track" }, stageBar(trace, longest)),
      h("p", { class: "muted" }, timeElement(trace.start_unix_nano), ` · ${counted(trace.spans, "span")} · ${line(trace.service, 40)}${trace.version ? ` ${line(trace.version, 20)}` : ""}`));
    const change = b.duration_ns - a.duration_ns;
    fill(result, h("div", { class: "two" }, side("A", a), side("B", b)),
      h("section", { class: "card" },
        h("header", null, h("h2", null, change === 0 ? "As long as each other" : `B took ${duration(Math.abs(change))} ${change > 0 ? "longer" : "less"} (${change > 0 ? "+" : "−"}${percent(Math.abs(change) / Math.max(1, a.duration_ns))})`), swap),
        h("div", { class: "scrolls", tabindex: "0", role: "region", "aria-label": "Spans of both" }, h("table", { class: "plain diff" },
          h("thead", null, h("tr", null, h("th", { scope: "col" }, "Span"), h("th", { scope: "col" }, "A over B"), h("th", { class: "num", scope: "col" }, "A"), h("th", { class: "num", scope: "col" }, "B"), h("th", { class: "num", scope: "col" }, "Change"), h("th", { scope: "col" }, h("span", { class: "seldom" }, "Change as a bar")))),
          h("tbody", null, rows.slice(0, 2000).map((row) => drawRow(row, most, widest))))),
        rows.length > 2000 && h("p", { class: "inside muted" }, `${count(rows.length - 2000)} more rows are left out.`)));
  }

  function drawRow(row, most, widest) {
    const bar = (one, kind) => h("i", { class: kind, style: { width: one ? `${Math.max(0.4, (100 * one.duration_ns) / most)}%` : "0" } });
    const time = (one) => h("td", { class: "num" }, one ? [duration(one.duration_ns), one.count > 1 && h("span", { class: "muted" }, ` ×${count(one.count)}`), one.errors > 0 && h("span", { class: "outcome failed" }, icon("cross", "failed")), one.wait_ns > 0 && h("div", { class: "only" }, `+ ${duration(one.wait_ns)} wait`)] : h("span", { class: "only" }, "–"));
    return h("tr", { data: { stage: STAGES.includes(row.stage) ? row.stage : "other" } },
      h("td", null, h("span", { class: "path", style: { "--indent": String(Math.min(12, row.depth) * 16) } }, h("i", { class: "swatch" }), h("span", { dir: "auto", class: "one-line" }, line(row.name, 80)))),
      h("td", { class: "bars" }, h("div", { class: "pair-bars", "aria-hidden": "true" }, bar(row.a, "a"), bar(row.b, "b"))),
      time(row.a), time(row.b),
      h("td", { class: "num" }, row.delta_ns === null ? h("span", { class: "only" }, row.a ? "only in A" : "only in B") : changeWords(row.delta_ns, row.a.duration_ns)),
      h("td", null, row.delta_ns !== null && h("div", { class: "delta", "aria-hidden": "true" }, h("i", { class: row.delta_ns > 0 ? "more" : "less", style: { width: `${(50 * Math.abs(row.delta_ns)) / widest}%` } }))));
  }
  return { element, update };
}

function changeWords(ns, before) {
  const kind = ns > 0 ? "more" : ns < 0 ? "less" : "";
  return h("span", { class: "change" }, h("strong", { class: kind }, delta(ns)), before > 0 && ns !== 0 && h("small", null, `${ns > 0 ? "+" : "−"}${percent(Math.abs(ns) / before)}`));
}

const PRESET = { a_from: "14d", a_to: "7d", b_from: "7d" };

/** For a store that isn't two weeks old. */
const SHORTER = [
  ["Last day against the day before", { a_from: "48h", a_to: "24h", b_from: "24h", b_to: null }],
  ["Last hour against the hour before", { a_from: "2h", a_to: "1h", b_from: "1h", b_to: null }],
];

function twoRanges({ signal, setQuery, element: page }) {
  const next = asking(signal);
  const change = (changes) => setQuery(changes, { push: true });
  const side = (letter) => {
    const name = letter.toLowerCase();
    return [range({ from: `${name}_from`, to: `${name}_to`, any: null, initial: PRESET[`${name}_from`], change }),
      ...[["version", "Version", "versions"], ["service", "Service", "services"], ["workflow", "Workflow", "workflows"]].map(([key, label, facet]) => choice({ name: `${name}_${key}`, label, facet, change }))];
  };
  const fields = { A: side("A"), B: side("B") };
  const facts = { A: h("p", { class: "muted" }), B: h("p", { class: "muted" }) };
  const result = h("div", { class: "stack" });
  const element = h("div", null,
    h("div", { class: "two" }, ["A", "B"].map((letter) => h("section", { class: "card side", "aria-label": `Range ${letter}` }, h("header", null, h("span", { class: `letter ${letter.toLowerCase()}` }, letter), h("strong", null, letter === "A" ? "Before" : "After")), h("div", { class: "filters" }, fields[letter].map((one) => one.element)), facts[letter]))),
    result);
  let shown = "";

  async function update(current) {
    const shownQuery = new URLSearchParams(current);
    if (![...current.keys()].some((key) => /^[ab]_/.test(key))) for (const [name, value] of Object.entries(PRESET)) shownQuery.set(name, value);
    for (const field of [...fields.A, ...fields.B]) field.show(shownQuery);
    const params = Object.fromEntries([...shownQuery].filter(([name]) => /^[ab]_/.test(name)));
    params.a_from ??= PRESET.a_from;
    params.b_from ??= PRESET.b_from;
    const key = JSON.stringify(params);
    if (key === shown) return;
    shown = key;
    try {
      draw(await waiting(page, () => get("compare/ranges", params, next())));
    } catch (error) {
      if (error.name === "AbortError") return;
      shown = "";
      fill(result, problemNote(error, () => update(current)));
    }
  }

  function draw({ a, b, stages, emails }) {
    for (const [letter, one] of [["A", a], ["B", b]]) fill(facts[letter], `${counted(one.emails.count, "email")}, ${count(one.emails.failed)} failed · `, timeElement(one.from_unix_nano, { millis: false }), " to ", timeElement(one.to_unix_nano, { millis: false }));
    if (!a.emails.count || !b.emails.count) return fill(result, emptyNote(`No email in ${!a.emails.count && !b.emails.count ? "either range" : !a.emails.count ? "range A" : "range B"}`, h("p", null, "Choose other ranges or filters", b.emails.count > 0 && ", or shorter ranges that both have some", "."), h("p", { class: "bar" }, SHORTER.map(([label, ranges]) => h("button", { type: "button", class: "button", on: { click: () => change(ranges) } }, label)))));
    const cells = (group) => ["p50", "p95", "p99"].map((key) => h("td", { class: "num" }, changeCell(group[key])));
    const row = (name, work, wait, stage) => h("tr", { data: { stage } }, h("th", { scope: "row" }, h("span", { class: "with-swatch" }, stage !== "whole" && h("i", { class: "swatch" }), name)), cells(work), wait ? cells(wait) : h("td", { colspan: "3" }));
    const sure = stages.flatMap((one) => ["work", "wait"].flatMap((kind) => (one[kind].p95.certain ? [[one.stage, kind, one[kind].p95]] : [])));
    return fill(result,
      h("section", { class: "card" }, h("header", null, h("h2", null, verdict(emails.p95))),
        sure.length > 0 && h("div", { class: "inside" }, h("ul", { class: "verdicts" }, sure.map(([stage, kind, one]) => h("li", { class: "with-swatch", data: { stage: STAGES.includes(stage) ? stage : "other" } }, h("i", { class: "swatch" }), `${line(stage, 30)} ${kind === "wait" ? "waits" : "works"} ${duration(Math.abs(one.delta_ns))} ${one.delta_ns > 0 ? "longer" : "less"} at p95`)))),
        h("div", { class: "scrolls", tabindex: "0", role: "region", "aria-label": "Changes by stage" }, h("table", { class: "plain stages" },
          h("thead", null, h("tr", null, h("th", { rowspan: "2", scope: "col" }, "Stage"), h("th", { colspan: "3", scope: "colgroup", class: "group" }, "Work, A to B"), h("th", { colspan: "3", scope: "colgroup", class: "group" }, "Queue wait, A to B")), h("tr", null, [0, 1].map(() => ["p50", "p95", "p99"].map((one) => h("th", { class: "num", scope: "col" }, one))))),
          h("tbody", null, row("Whole email", emails, null, "whole"), stages.map((one) => row(line(one.stage, 40), one.work, one.wait, STAGES.includes(one.stage) ? one.stage : "other")))))),
      h("p", { class: "muted" }, "A change is called certain when a 95 % interval of the difference, from 1,000 draws, leaves out no change at all. With fewer than 20 emails on a side nothing is said."));
  }

  return { element, update };
}

function verdict(one) {
  if (one.certain === null) return "Too few emails to say whether B is slower";
  if (!one.certain) return "No certain change of the whole: what differs may be chance";
  return `B is ${one.delta_ns > 0 ? "slower" : "faster"}: p95 of the whole ${delta(one.delta_ns)}`;
}

function changeCell(one) {
  if (one.delta_ns === null) return h("span", { class: "only" }, one.a_ns === null && one.b_ns === null ? "–" : `${duration(one.a_ns)} → ${duration(one.b_ns)}`);
  const kind = !one.certain ? "" : one.delta_ns > 0 ? "more" : "less";
  return h("span", { class: "change" }, h("span", null, `${duration(one.a_ns)} → ${duration(one.b_ns)}`), h("strong", { class: kind }, delta(one.delta_ns), one.ratio !== null && ` (${one.ratio >= 1 ? "+" : "−"}${percent(Math.abs(one.ratio - 1))})`), h("small", null, one.certain === null ? "too few to say" : one.certain ? "certain" : "may be chance"));
}
