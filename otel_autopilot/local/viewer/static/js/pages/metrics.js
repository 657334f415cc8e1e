// Any metric that was received, with exemplars that open their trace.

import { get } from "../api.js";
import { chart } from "../chart.js";
import { h, fill } from "../dom.js";
import { asTime, choice, range, segments } from "../filters.js";
import { age, counted, measured, timeElement } from "../format.js";
import { icon } from "../icons.js";
import { live } from "../live.js";
import { go } from "../router.js";
import { asking, emptyNote, problemNote, waiting } from "../states.js";
import { line } from "../text.js";
import { firstTrace } from "../first-trace.js";

const INITIAL = "1h";
const SHOWN = { histogram: [["quantiles", "Percentiles"], ["values", "Mean"], ["rate", "Rate"]] };

/** @param {import("../router.js").Context} context @returns {import("../router.js").Page} */
export function create({ query, signal, setQuery, setTitle }) {
  const nextList = asking(signal);
  const nextSeries = asking(signal);
  let metrics = null;
  let answer = null;
  /** Whether the reader unfolded the exemplars; null before that was asked. @type {boolean | null} */
  let unfolded = null;
  const now = () => new URLSearchParams(location.search);
  const change = (changes) => setQuery(changes, { push: true });

  const box = h("input", { type: "search", placeholder: "Find a metric", "aria-label": "Find a metric", on: { input: () => (setQuery({ find: box.value }, { quiet: true }), drawList()) } });
  const list = h("ul");
  const side = h("div", { class: "stack" }, h("label", { class: "field" }, box), h("nav", { class: "metric-list", "aria-label": "Metrics", tabindex: "0" }, list));
  const times = range({ any: null, initial: INITIAL, change });
  const by = choice({ name: "by", label: "By", any: "nothing", change });
  const what = segments({ label: "What of it", options: SHOWN.histogram, chosen: (value) => setQuery({ show: value === "quantiles" ? null : value }) });
  const quantile = choice({ name: "quantile", label: "Percentile", any: null, options: [["p50", "p50"], ["p95", "p95"], ["p99", "p99"]], change });
  const drawing = chart({ signal, height: 320, label: "Metric", say: (value) => measured(value, unit()), zoomed: (from, to) => change({ from: asTime(from * 1e9), to: asTime(to * 1e9) }) });
  const title = h("h2", { class: "mono" });
  const told = h("p", { class: "muted" });
  const notes = h("div", { hidden: true });
  const exemplars = h("div");
  const problem = h("div");
  const card = h("section", { class: "card", hidden: true }, h("header", null, title, by.element, quantile.element, what.element), h("div", { class: "inside stack" }, told, drawing.element, notes, exemplars));
  const place = h("div", { class: "catalogue fades" }, side, h("div", null, problem, card));
  const element = h("div", { class: "page" }, h("div", { class: "page-head" }, h("h1", { tabindex: "-1" }, "Metrics"), h("span", { class: "grow" }), h("div", { class: "bar" }, times.element)), place);

  const shows = () => now().get("show") ?? "quantiles";
  const unit = () => (answer?.type === "histogram" && shows() === "rate" ? "/s" : answer?.type === "sum" ? `${answer.unit}/s`.replace("1/s", "/s") : (answer?.unit ?? ""));

  async function loadList(quietly = false) {
    try {
      const ask = () => get("metrics", {}, nextList());
      metrics = (await (quietly ? ask() : waiting(element, ask))).metrics;
      if (!metrics.length) {
        fill(place, live.state?.traces ? emptyNote("No metric yet", h("p", null, "Metrics show here a few seconds after a process sends the first.")) : firstTrace(false));
        return;
      }
      if (side.parentElement !== place) {
        fill(place, side, h("div", null, problem, card));
        loadSeries(true);
      }
      drawList();
      if (!now().get("name")) setQuery({ name: metrics[0].name });
    } catch (error) {
      if (error.name !== "AbortError" && !quietly) fill(place, problemNote(error, () => loadList()));
    }
  }

  function drawList() {
    if (!metrics) return;
    const words = (now().get("find") ?? "").toLowerCase().split(/\s+/).filter(Boolean);
    const found = metrics.filter((one) => words.every((word) => `${one.name} ${one.description} ${one.services.join(" ")}`.toLowerCase().includes(word)));
    fill(list, found.slice(0, 500).map((one) => {
      const link = new URLSearchParams(location.search);
      for (const name of ["by", "where", "show", "quantile"]) link.delete(name);
      link.set("name", one.name);
      return h("li", null, h("a", { href: `?${link}`, "aria-current": one.name === now().get("name") ? "true" : null }, h("strong", { dir: "auto" }, line(one.name, 100)), h("small", null, line(`${one.type}${one.unit ? `, ${one.unit}` : ""} · ${counted(one.series, "series", "series")} · ${age(one.last_unix_nano)}`, 120))));
    }), found.length === 0 && h("li", { class: "way muted" }, "No metric matches."));
    list.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest" });
  }

  async function loadSeries(quietly = false) {
    const name = now().get("name");
    if (!name) return;
    const params = { name, from: now().get("from") ?? INITIAL, to: now().get("to"), by: now().getAll("by"), where: now().getAll("where"), steps: Math.max(40, Math.min(240, Math.floor((innerWidth - 400) / 6))) };
    try {
      const ask = () => get("metrics/series", params, nextSeries());
      answer = await (quietly ? ask() : waiting(element, ask));
      fill(problem);
      draw();
    } catch (error) {
      if (error.name === "AbortError" || (quietly && !card.hidden)) return;
      card.hidden = true;
      fill(problem, problemNote(error, () => loadSeries()));
    }
  }

  const called = (labels) => Object.values(labels).length ? Object.values(labels).join(", ") : answer.name;

  function draw() {
    const { series, type } = answer;
    const histogram = type.includes("histogram");
    card.hidden = false;
    setTitle(line(answer.name, 60));
    title.textContent = line(answer.name, 120);
    what.element.hidden = !histogram;
    what.show(shows());
    by.options(answer.attributes.concat("service.name", "service.instance.id").filter((one, i, all) => all.indexOf(one) === i).map((one) => [one, one]), now());
    const split = histogram && shows() === "quantiles" && series.length > 1;
    quantile.element.hidden = !split;
    const at = now().get("quantile") ?? "p95";
    quantile.show(new URLSearchParams({ quantile: at }));
    const lines = !histogram || shows() !== "quantiles"
      ? series.map((one) => ({ label: called(one.labels), values: histogram && shows() === "rate" ? one.rate : one.values, fill: series.length === 1 }))
      : split ? series.map((one) => ({ label: called(one.labels), values: one[at] }))
        : series.flatMap((one) => [["p99", "bad"], ["p95", "digest"], ["p50", "email"]].map(([key, colour]) => ({ label: key, values: one[key], colour })));
    const points = answer.exemplars.filter((one) => shows() !== "rate" && one.trace_id);
    const say = (value) => measured(value, unit());
    drawing.show({
      times: answer.times_unix_nano.map((time) => time / 1e9), lines, say,
      dots: points.map((one) => ({ time: one.time_unix_nano / 1e9, value: one.value, label: `${measured(one.value, answer.unit)}: open its trace`, open: () => go(`/view/traces/${one.trace_id}?span=${one.span_id}`) })),
    }).catch((error) => fill(problem, problemNote(error, () => loadSeries())));
    fill(told, line(answer.description, 300) || "It was sent without a description.", " ", h("span", { class: "tag" }, type), " ", h("span", { class: "tag" }, answer.unit || "no unit"));
    notes.hidden = !answer.series_left_out && !series.every((one) => one.values.every((value) => value === null));
    fill(notes, series.every((one) => one.values.every((value) => value === null)) && h("p", { class: "muted" }, "Nothing was recorded in this range."), answer.series_left_out > 0 && h("p", { class: "muted" }, `${counted(answer.series_left_out, "smaller series", "smaller series")} left out.`));
    fill(exemplars, points.length > 0 && h("details", { class: "part", open: unfolded ?? points.length < 9 }, h("summary", { on: { click: (event) => (unfolded = !event.currentTarget.parentElement.open) } }, icon("right"), "Exemplars", h("span", { class: "muted" }, ` ${points.length}: recordings with their trace`)), h("div", { class: "scrolls exemplars", tabindex: "0", role: "region", "aria-label": "Exemplars" }, h("table", { class: "plain" },
      h("thead", null, h("tr", null, h("th", { scope: "col" }, "When"), h("th", { scope: "col", class: "num" }, "Value"), h("th", { scope: "col" }, "Labels"), h("th", { scope: "col" }, "Trace"))),
      h("tbody", null, [...points].sort((a, b) => b.value - a.value).slice(0, 100).map((one) => h("tr", null, h("td", null, timeElement(one.time_unix_nano)), h("td", { class: "num" }, measured(one.value, answer.unit)), h("td", { class: "muted" }, line(Object.entries(one.labels).map(([key, value]) => `${key}=${value}`).join(" "), 100)), h("td", null, h("a", { class: "mono", href: `/view/traces/${one.trace_id}?span=${one.span_id}` }, one.trace_id.slice(0, 12))))))))));
  }

  let shown = "";
  function update(current) {
    times.show(current);
    if (document.activeElement !== box) box.value = current.get("find") ?? "";
    by.show(current);
    const key = ["name", "from", "to", "by", "where"].map((name) => current.getAll(name).join()).join("|");
    if (key !== shown) loadSeries();
    else if (answer) draw();
    if (key.split("|")[0] !== shown.split("|")[0]) drawList();
    shown = key;
  }

  let last = 0;
  live.subscribe((event) => {
    if (event !== "changed" || Date.now() - last < 5000) return;
    last = Date.now();
    loadList(true);
    if (!now().get("to")) loadSeries(true);
  }, signal);
  loadList();
  update(query);
  return { element, update, keys: { "/": () => box.focus() }, help: [["/", "find a metric"]] };
}
