// Line charts over time, by uPlot.

import { h, fill } from "./dom.js";
import { tick } from "./format.js";
import { line } from "./text.js";
import { colours } from "./theme.js";

const LIBRARY = "/view/static/vendor/uplot/uPlot.iife.min.js";
/** @type {Promise<any> | null} */
let library = null;

function load() {
  library ??= new Promise((resolve, reject) => {
    document.head.append(h("script", { src: LIBRARY, on: { load: () => resolve(window.uPlot), error: () => reject(new Error("the chart library could not be loaded")) } }));
  });
  return library;
}

/** Names of the custom properties that series are drawn with, in order. */
const SERIES = ["email", "digest", "delivery", "ingestion", "bad", "run", "other", "warn"];

/**
 * @typedef {{label: string, values: (number | null)[], colour?: string, dash?: number[], fill?: boolean, bars?: boolean}} Line
 * @typedef {{time: number, value: number, label: string, open: () => void}} Dot
 */

/**
 * A chart that draws itself again when its data, its width or the theme changes.
 * @param {{signal: AbortSignal, height?: number, label: string, say: (value: number | null) => string, sync?: string, zoomed?: (from: number, to: number) => void, legend?: boolean}} options
 *   `say` puts a value into words; charts with the same `sync` share their cursor; `zoomed` gets seconds since 1970
 */
export function chart({ signal, height = 220, label, say, sync, zoomed, legend = true }) {
  const place = h("div", { class: "plot", role: "img", "aria-label": label });
  const names = h("div", { class: "chart-legend" });
  const element = h("figure", { class: "chart" }, place, legend && names);
  let plot = null;
  let data = null;
  let off = new Set();
  let speak = say;

  /** @param {{times: number[], lines: Line[], dots?: Dot[], say?: typeof say}} next times in seconds */
  async function show(next) {
    const same = data && plot && data.lines.length === next.lines.length && next.lines.every((one, i) => one.label === data.lines[i].label) && Boolean(data.dots?.length) === Boolean(next.dots?.length);
    data = next;
    if (next.say) speak = next.say;
    const kind = await load();
    if (signal.aborted) return;
    place.setAttribute("aria-label", inWords());
    if (same && plot) plot.setData([data.times, ...data.lines.map((one) => one.values)]);
    else build(kind);
    drawNames(null);
  }

  function inWords() {
    return `${label}. ${data.lines.slice(0, 8).map((one) => {
      const values = one.values.filter((value) => value !== null);
      return values.length ? `${line(one.label, 60)}: last ${speak(values.at(-1))}, most ${speak(values.reduce((most, value) => Math.max(most, value), -Infinity))}` : `${line(one.label, 60)}: nothing`;
    }).join("; ")}`;
  }

  const colourOf = (one, i) => colours(one.colour ?? SERIES[i % SERIES.length])[0];

  function build(kind) {
    plot?.destroy();
    const [muted, faint, text] = colours("muted", "line", "text");
    const font = "11px Inter, system-ui, sans-serif";
    const axis = { stroke: muted, font, grid: { stroke: faint, width: 1 }, ticks: { show: false } };
    const width = Math.max(120, place.clientWidth);
    const span = () => (data.times.at(-1) - data.times[0]) * 1e9 || 1e9;
    plot = new kind({
      width, height, padding: [8, 8, 0, 0], legend: { show: false },
      cursor: { points: { size: 7 }, focus: { prox: 24 }, drag: { x: Boolean(zoomed), y: false, setScale: false }, ...(sync ? { sync: { key: sync, setSeries: false } } : {}) },
      focus: { alpha: 0.35 },
      scales: { y: { range: (_, low, high) => [Math.min(0, low ?? 0), (high ?? 0) > 0 ? high * 1.08 : 1] } },
      axes: [
        { ...axis, size: 24, gap: 4, space: 90, values: (_, times) => times.map((time) => tick(time * 1e9, span())) },
        { ...axis, size: 66, gap: 6, space: 26, values: (_, values) => values.map((value) => speak(value)) },
      ],
      series: [{}, ...data.lines.map((one, i) => ({
        label: one.label, stroke: colourOf(one, i), width: 1.6, dash: one.dash, spanGaps: false, points: { show: one.values.filter((value) => value !== null).length < 3, size: 5 }, show: !off.has(one.label),
        fill: one.fill || one.bars ? `color-mix(in srgb, ${colourOf(one, i)} ${one.bars ? 70 : 14}%, transparent)` : undefined,
        paths: one.bars ? kind.paths.bars({ size: [0.8, 40], align: 1 }) : undefined,
      }))],
      hooks: {
        setCursor: [(u) => drawNames(u.cursor.idx ?? null)],
        setSelect: [(u) => {
          if (!zoomed || u.select.width < 5) return;
          const [from, to] = [u.posToVal(u.select.left, "x"), u.posToVal(u.select.left + u.select.width, "x")];
          u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
          zoomed(from, to);
        }],
        draw: [(u) => drawDots(u, text)],
      },
    }, [data.times, ...data.lines.map((one) => one.values)], place);
    plot.over.addEventListener("click", (event) => nearest(event)?.open());
    plot.over.addEventListener("mousemove", (event) => {
      const dot = nearest(event);
      plot.over.style.cursor = dot ? "pointer" : zoomed ? "crosshair" : "default";
      plot.over.title = dot ? dot.label : "";
    });
  }

  function drawDots(u, stroke) {
    const pen = u.ctx;
    pen.save();
    pen.beginPath();
    pen.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height);
    pen.clip();
    const size = 3.4 * (devicePixelRatio || 1);
    const [inside] = colours("surface");
    for (const dot of data.dots ?? []) {
      const x = u.valToPos(dot.time, "x", true);
      const y = u.valToPos(Math.min(dot.value, u.scales.y.max), "y", true);
      pen.beginPath();
      pen.moveTo(x, y - size * 1.3);
      pen.lineTo(x + size * 1.3, y);
      pen.lineTo(x, y + size * 1.3);
      pen.lineTo(x - size * 1.3, y);
      pen.closePath();
      pen.fillStyle = inside;
      pen.strokeStyle = stroke;
      pen.lineWidth = 1.5 * (devicePixelRatio || 1);
      pen.fill();
      pen.stroke();
    }
    pen.restore();
  }

  /** The exemplar under the pointer. */
  function nearest(event) {
    if (!data.dots?.length || !plot) return null;
    const box = plot.over.getBoundingClientRect();
    let best = null;
    let distance = 9;
    for (const dot of data.dots) {
      const away = Math.hypot(plot.valToPos(dot.time, "x") - (event.clientX - box.left), plot.valToPos(Math.min(dot.value, plot.scales.y.max), "y") - (event.clientY - box.top));
      if (away < distance) [best, distance] = [dot, away];
    }
    return best;
  }

  function drawNames(at) {
    if (!legend || !data) return;
    const time = at === null ? null : data.times[at];
    if (names.children.length !== data.lines.length + 1) {
      fill(names, h("span", { class: "at muted number" }), data.lines.map((one) => h("button", { type: "button", class: "series", "aria-pressed": "true", title: "Show or hide", on: { click: () => hide(one.label) } }, h("i", { class: "swatch" }), h("span", { class: "one-line", dir: "auto" }), h("strong", { class: "number" }))));
    }
    names.firstChild.textContent = time === null ? "" : tick(time * 1e9, 1e9);
    data.lines.forEach((one, i) => {
      const button = names.children[i + 1];
      button.children[0].style.background = colourOf(one, i);
      const text = line(one.label, 120);
      if (button.children[1].textContent !== text) button.children[1].textContent = text;
      const value = at === null ? one.values.findLast((each) => each !== null) : one.values[at];
      button.children[2].textContent = speak(value ?? null);
      button.setAttribute("aria-pressed", String(!off.has(one.label)));
    });
  }

  function hide(name) {
    if (off.has(name)) off.delete(name);
    else off.add(name);
    data.lines.forEach((one, i) => plot?.setSeries(i + 1, { show: !off.has(one.label) }));
    drawNames(null);
  }

  const again = () => data && window.uPlot && build(window.uPlot);
  document.addEventListener("themechange", () => (again(), drawNames(null)), { signal });
  const sized = new ResizeObserver(() => plot && plot.setSize({ width: Math.max(120, place.clientWidth), height }));
  sized.observe(place);
  signal.addEventListener("abort", () => {
    sized.disconnect();
    plot?.destroy();
  });
  return { element, show };
}
