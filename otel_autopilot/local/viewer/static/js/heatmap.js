// Durations over time as a heat map: how many in each cell by colour, failures marked. Works with the pointer and the keyboard.

import { h, fill } from "./dom.js";
import { clock, count, counted, duration, tick } from "./format.js";
import { announce } from "./say.js";
import { colours } from "./theme.js";

const LEFT = 64;
const BOTTOM = 22;
const ROW = 17;

/**
 * @typedef {{from: number, to: number, low: number, high: number}} Piece  nanoseconds since 1970; nanoseconds of duration
 * @param {{signal: AbortSignal, chosen: (piece: Piece) => void}} options
 */
export function heatmap({ signal, chosen }) {
  const canvas = h("canvas", { "aria-hidden": "true" });
  const tip = h("div", { class: "tip", hidden: true });
  const surface = h("div", { class: "heat", tabindex: "0", role: "application", "aria-roledescription": "heat map", "aria-label": "Durations over time. Arrow keys move between cells, Shift with them selects more, Enter shows the traces behind." }, canvas, tip);
  const scale = h("span", { class: "ramp" });
  const most = h("span", { class: "number" });
  const element = h("div", null, surface, h("div", { class: "legend heat-legend" }, h("span", null, "1", scale, most, " emails"), h("span", null, h("i", { class: "heat-error" }), "some failed"), h("span", { class: "muted" }, "Click a cell, or drag over several, to see their traces.")));
  let data = null;
  let peak = 1;
  /** @type {{column: number, row: number} | null} */
  let cursor = null;
  let anchor = null;
  let selected = null;
  let pointing = false;

  const rows = () => data.bounds_ns.length;
  const columns = () => data.counts.length;
  const height = () => Math.max(6, rows()) * ROW + BOTTOM;
  const cellWidth = () => (surface.clientWidth - LEFT) / columns();

  function show(next, piece) {
    data = next;
    peak = Math.max(1, ...data.counts.flat());
    selected = piece ? find(piece) : null;
    if (cursor && (cursor.row >= rows() || cursor.column >= columns())) cursor = null;
    most.textContent = count(peak);
    draw();
  }

  function find(piece) {
    const column = (time) => Math.round((time - data.from_unix_nano) / data.step_ns);
    const row = (ns) => data.bounds_ns.findIndex((bound) => bound > ns * 1.001);
    const low = Math.max(0, row(piece.low) < 0 ? rows() - 1 : row(piece.low) - 1);
    const high = row(piece.high) < 0 ? rows() - 1 : row(piece.high) - 2;
    const [first, last] = [Math.max(0, column(piece.from)), Math.min(columns() - 1, column(piece.to) - 1)];
    return first <= last && low <= high ? { first, last, low, high } : null;
  }

  function draw() {
    const width = surface.clientWidth;
    if (!data || !width) return;
    const ratio = devicePixelRatio || 1;
    const tall = height();
    surface.style.height = `${tall}px`;
    canvas.width = width * ratio;
    canvas.height = tall * ratio;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${tall}px`;
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    const [line, muted, accent, bad, text] = colours("line", "muted", "accent", "bad-fill", "text");
    const w = cellWidth();
    pen.font = "11px Inter, system-ui, sans-serif";
    pen.textAlign = "right";
    pen.textBaseline = "middle";
    data.bounds_ns.forEach((bound, row) => {
      const y = tall - BOTTOM - row * ROW;
      if (row % 2 === 0) {
        pen.fillStyle = muted;
        pen.fillText(duration(bound), LEFT - 8, y);
        pen.fillStyle = line;
        pen.fillRect(LEFT, Math.round(y), width - LEFT, 1);
      }
    });
    data.counts.forEach((column, x) => column.forEach((number, row) => {
      if (!number) return;
      const left = LEFT + x * w;
      const top = tall - BOTTOM - (row + 1) * ROW;
      pen.fillStyle = shade(number / peak);
      pen.fillRect(left + 0.5, top + 0.5, Math.max(1, w - 1), ROW - 1);
      if (data.errors[x]?.[row]) {
        pen.fillStyle = bad;
        const part = Math.max(3, (w - 1) * Math.min(1, data.errors[x][row] / number));
        pen.fillRect(left + 0.5, top + ROW - 4, Math.min(part, w - 1), 3.5);
      }
    }));
    const span = columns() * data.step_ns;
    pen.textAlign = "left";
    pen.fillStyle = muted;
    const ticks = Math.max(2, Math.min(9, Math.floor((width - LEFT) / 130)));
    for (let one = 0; one < ticks; one++) pen.fillText(tick(data.from_unix_nano + (span * one) / ticks, span), LEFT + ((width - LEFT) * one) / ticks, tall - 8);
    const frame = (piece, colour, thick) => {
      pen.strokeStyle = colour;
      pen.lineWidth = thick;
      pen.strokeRect(LEFT + piece.first * w, tall - BOTTOM - (piece.high + 1) * ROW, (piece.last - piece.first + 1) * w, (piece.high - piece.low + 1) * ROW);
    };
    if (selected) frame(selected, accent, 2);
    if (cursor && (document.activeElement === surface || pointing)) frame(area(), text, 1.5);
  }

  const area = () => {
    const other = anchor ?? cursor;
    return { first: Math.min(cursor.column, other.column), last: Math.max(cursor.column, other.column), low: Math.min(cursor.row, other.row), high: Math.max(cursor.row, other.row) };
  };

  function words(piece) {
    let [number, failed] = [0, 0];
    for (let x = piece.first; x <= piece.last; x++) {
      for (let row = piece.low; row <= piece.high; row++) {
        number += data.counts[x][row] ?? 0;
        failed += data.errors[x]?.[row] ?? 0;
      }
    }
    const { from, low, high } = toPiece(piece);
    return `${counted(number, "email")}${failed ? `, ${failed} failed` : ""} · ${duration(low)} to ${duration(high)} · ${clock(from, false)}`;
  }

  function toPiece(piece) {
    return {
      from: data.from_unix_nano + piece.first * data.step_ns, to: data.from_unix_nano + (piece.last + 1) * data.step_ns,
      low: data.bounds_ns[piece.low], high: data.bounds_ns[piece.high + 1] ?? data.bounds_ns[piece.high] * Math.SQRT2,
    };
  }

  function choose() {
    selected = area();
    anchor = null;
    draw();
    chosen(toPiece(selected));
  }

  function cell(event) {
    const box = surface.getBoundingClientRect();
    const column = Math.floor((event.clientX - box.left - LEFT) / cellWidth());
    const row = Math.floor((height() - BOTTOM - (event.clientY - box.top)) / ROW);
    return { column: Math.max(0, Math.min(columns() - 1, column)), row: Math.max(0, Math.min(rows() - 1, row)), inside: column >= 0 && row >= 0 && row < rows() };
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (!data || !rows()) return;
    anchor = cell(event);
    cursor = anchor;
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!data || !rows()) return;
    const at = cell(event);
    pointing = at.inside;
    tip.hidden = !at.inside;
    cursor = at;
    const piece = area();
    fill(tip, words(piece));
    tip.style.left = `${Math.max(0, Math.min(surface.clientWidth - 330, event.clientX - surface.getBoundingClientRect().left + 14))}px`;
    tip.style.top = `${event.clientY - surface.getBoundingClientRect().top - 12}px`;
    draw();
  });
  canvas.addEventListener("pointerup", () => anchor && choose());
  canvas.addEventListener("pointerleave", () => {
    pointing = false;
    tip.hidden = true;
    draw();
  });
  surface.addEventListener("focus", () => {
    if (data && rows() && !cursor) cursor = busiest();
    draw();
  });
  surface.addEventListener("blur", draw);
  surface.addEventListener("keydown", (event) => {
    if (!data || !rows()) return;
    const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    cursor ??= busiest();
    if (by) {
      anchor = event.shiftKey ? (anchor ?? cursor) : null;
      cursor = { column: Math.max(0, Math.min(columns() - 1, cursor.column + by[0])), row: Math.max(0, Math.min(rows() - 1, cursor.row + by[1])) };
      announce(words(area()));
      draw();
    } else if (event.key === "Enter" || event.key === " ") choose();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });

  function busiest() {
    let best = { column: columns() - 1, row: 0 };
    data.counts.forEach((list, column) => list.forEach((number, row) => number > (data.counts[best.column][best.row] ?? 0) && (best = { column, row })));
    return best;
  }

  const sized = new ResizeObserver(draw);
  sized.observe(surface);
  document.addEventListener("themechange", draw, { signal });
  signal.addEventListener("abort", () => sized.disconnect());
  return { element, show };
}

/** From a calm blue to a strong one on light, the other way round on dark. @param {number} share of the fullest cell */
function shade(share) {
  const strength = Math.log1p(share * 30) / Math.log1p(30);
  const dark = document.documentElement.dataset.theme === "dark";
  const [from, to] = dark ? [[28, 52, 92], [170, 212, 255]] : [[203, 222, 250], [14, 46, 116]];
  return `rgb(${from.map((one, i) => Math.round(one + (to[i] - one) * strength)).join(" ")})`;
}
