// The waterfall: a tree grid of which only the rows in sight exist, however many spans there are.

import { bar, barInWords } from "./bar.js";
import { h, fill } from "./dom.js";
import { duration } from "./format.js";
import { icon } from "./icons.js";
import { line } from "./text.js";
import { dragsTime } from "./time-window.js";
import { waitBelow } from "./trace-model.js";

export const ROW = 26;
/** Rows that exist above and below what is in sight. */
const SPARE = 8;
/** Deeper than this is not drawn further to the right. */
const DEEPEST = 14;
const INDENT = 13;
/** Width of a character of the axis at most, in pixels. */
const CHARACTER = 7;

/**
 * @param {{view: import("./time-window.js").TimeWindow, signal: AbortSignal, moved: (i: number) => void, opened: (i: number) => void, toggled: (i: number, deep: boolean) => void}} options
 */
export function waterfall({ view, signal, moved, opened, toggled }) {
  let model = null;
  /** @type {import("./trace-model.js").Row[]} */
  let rows = [];
  let at = 0;
  let collapsed = new Set();
  let found = new Set();
  let asked = 0;
  let manyServices = false;
  /** @type {Map<string, HTMLElement>} */
  const shown = new Map();

  const ticks = h("div", { class: "ticks", role: "columnheader", "aria-label": "Time" });
  const marked = h("div", { class: "marked", hidden: true });
  const split = h("div", { class: "split", role: "separator", tabindex: "0", "aria-orientation": "vertical", "aria-label": "Width of the names" });
  const head = h("div", { class: "wf-head", role: "row", "aria-rowindex": "1" }, h("span", { role: "columnheader", class: "wf-name" }, "Span"), h("span", { class: "wf-axis", role: "presentation" }, ticks, marked), h("span", { role: "columnheader", class: "wf-num" }, "Duration"), h("span", { role: "columnheader", class: "wf-num own" }, "Self"));
  const sheet = h("div", { class: "wf-sheet", role: "rowgroup" });
  const lines = h("div", { class: "wf-lines", "aria-hidden": "true" });
  const scroller = h("div", { class: "wf-scroll", role: "treegrid", tabindex: "0", "aria-label": "Spans", "aria-multiselectable": "false", on: { scroll: later, keydown: keyed, click: clicked, dblclick: doubled, wheel: wheeled } }, head, sheet);
  const element = h("div", { class: "waterfall" }, lines, scroller, split);

  const axisWidth = () => ticks.clientWidth || 1;
  dragsTime(ticks, {
    time: (x) => view.at(Math.max(0, Math.min(1, x / axisWidth()))),
    marked(from, to) {
      marked.hidden = from === to;
      marked.style.left = `${100 * view.place(from)}%`;
      marked.style.width = `${(100 * (to - from)) / view.span}%`;
    },
    chosen: (from, to) => view.show(from, to),
    reset: () => view.reset(),
  });

  function later() {
    asked ||= requestAnimationFrame(() => {
      asked = 0;
      draw(false);
    });
  }

  function drawAxis() {
    const list = view.ticks(Math.max(2, Math.floor(axisWidth() / 96)));
    let reached = -Infinity;
    fill(ticks, list.map(({ time, label }) => {
      const last = view.place(time) > 0.93;
      const needed = label.length * CHARACTER + 8;
      const left = view.place(time) * axisWidth() - (last ? needed : 0);
      if (left < reached) return false; // its line is there all the same
      reached = left + needed;
      return h("span", { class: last ? "last" : "", style: { left: `${100 * view.place(time)}%` } }, label);
    }));
    lines.style.width = `${axisWidth()}px`;
    fill(lines, list.map(({ time }) => h("i", { style: { left: `${100 * view.place(time)}%` } })));
  }

  /** @param {boolean} anew draw rows that exist already again */
  function draw(anew) {
    if (!model) return;
    const height = scroller.clientHeight;
    const first = Math.max(0, Math.floor(scroller.scrollTop / ROW) - SPARE);
    const last = Math.min(rows.length, Math.ceil((scroller.scrollTop + height) / ROW) + SPARE);
    const width = axisWidth();
    const keep = new Set();
    for (let place = first; place < last; place++) {
      const row = rows[place];
      keep.add(row.key);
      let one = shown.get(row.key);
      if (!one || anew) {
        const next = drawRow(row, place, width, one);
        if (!one) sheet.append(next);
        shown.set(row.key, next);
        one = next;
      }
      if (one.place !== place) {
        one.place = place;
        one.style.transform = `translateY(${place * ROW}px)`;
        one.setAttribute("aria-rowindex", String(place + 2));
      }
      if (row.type === "span") one.setAttribute("aria-selected", String(place === at));
    }
    for (const [key, one] of shown) {
      if (keep.has(key)) continue;
      one.remove();
      shown.delete(key);
    }
    const active = shown.get(rows[at]?.key);
    if (active) scroller.setAttribute("aria-activedescendant", active.id);
    else scroller.removeAttribute("aria-activedescendant");
  }

  function drawRow(row, place, width, old) {
    const element = old ?? h("div", { role: "row", id: `row-${row.key}` });
    element.row = row;
    const span = model.spans[row.i];
    const depth = Math.min(DEEPEST, span.depth);
    element.dataset.stage = span.stage || "";
    element.setAttribute("aria-level", String(span.depth + (row.type === "span" ? 1 : 2)));
    if (row.type !== "span") return drawNote(element, row, depth);
    const shut = collapsed.has(span.span_id);
    const many = model.kids[row.i].length;
    if (many) element.setAttribute("aria-expanded", String(!shut));
    element.className = `wf-row${span.error ? " bad" : ""}${span.lost ? " lost" : ""}${found.has(row.i) ? " found" : ""}${span.depth <= 1 ? " strong" : ""}`;
    const above = model.parent[row.i];
    const waits = many ? waitBelow(model, row.i) : 0;
    const tells = manyServices && (above < 0 || model.spans[above].service !== span.service);
    fill(element,
      h("span", { role: "gridcell", class: "wf-name", style: { "--indent": `${depth * INDENT}px` } },
        h("span", { class: "twist", "aria-hidden": "true" }, many > 0 && icon(shut ? "right" : "down")),
        h("i", { class: "swatch" }),
        span.error && icon("cross", "error"), span.lost && icon("ghost", "lost"),
        h("span", { class: "name one-line", dir: "auto", title: line(span.name, 300) }, line(span.name, 160)),
        span.attempt > 1 && h("span", { class: "tag warn", title: `Attempt ${span.attempt}` }, `#${span.attempt}`),
        span.lost && h("span", { class: "tag bad" }, "lost"),
        span.orphan && !model.trace.under_way && h("span", { class: "tag warn", title: "Its parent is not in the store" }, "orphan"),
        shut && h("span", { class: "tag", title: "Spans below it" }, `+${model.end[row.i] - row.i - 1}`),
        tells && h("span", { class: "muted one-line service" }, line(span.service, 40))),
      h("span", { role: "gridcell", class: "wf-time", "aria-label": barInWords(model, row.i) }, bar(model, row.i, view, width)),
      h("span", { role: "gridcell", class: "wf-num" }, duration(span.duration_ns)),
      h("span", { role: "gridcell", class: "wf-num own muted", title: waits > 0 && `${duration(waits)} of it waiting` }, many ? duration(span.self_ns) : ""));
    return element;
  }

  function drawNote(element, row, depth) {
    const { note } = row;
    const log = row.type === "log";
    const level = !log ? (note.name === "exception" ? "bad" : "") : note.severity_number >= 17 ? "bad" : note.severity_number >= 13 ? "warn" : "";
    element.className = `wf-row note-row ${level}`;
    const inside = note.time_ns >= view.from && note.time_ns <= view.to;
    fill(element,
      h("span", { role: "gridcell", class: "wf-name", style: { "--indent": `${(depth + 1) * INDENT}px` } }, h("span", { class: `what ${level}` }, log ? line(note.severity_text || "LOG", 10) : "event"), h("span", { class: "name one-line", dir: "auto", title: line(log ? note.body : note.name, 600) }, line(log ? note.body : note.name, 200))),
      h("span", { role: "gridcell", class: "wf-time", "aria-label": `at ${duration(note.time_ns)}` }, inside && h("i", { class: `dot ${level}`, style: { left: `${100 * view.place(note.time_ns)}%` } })),
      h("span", { role: "gridcell", class: "wf-num muted" }, `+${duration(note.time_ns)}`), h("span", { role: "gridcell", class: "wf-num own" }));
    return element;
  }

  function reveal(place) {
    const top = place * ROW;
    const room = scroller.clientHeight - ROW - 4;
    if (top < scroller.scrollTop) scroller.scrollTop = top;
    else if (top + ROW > scroller.scrollTop + room) scroller.scrollTop = top + ROW - room;
  }

  function move(place, tell = true) {
    if (!rows.length) return;
    const down = place >= at;
    let next = Math.max(0, Math.min(rows.length - 1, place));
    while (rows[next] && rows[next].type !== "span") next += down && next < rows.length - 1 ? 1 : -1;
    at = next;
    reveal(at);
    draw(false);
    if (tell) moved(rows[at].i);
  }

  function keyed(event) {
    const row = rows[at];
    if (!row || event.ctrlKey || event.metaKey || event.altKey) return;
    const span = model.spans[row.i];
    const shut = collapsed.has(span.span_id);
    const page = Math.max(1, Math.floor(scroller.clientHeight / ROW) - 2);
    if (event.shiftKey && (event.key === "ArrowLeft" || event.key === "ArrowRight")) view.pan(event.key === "ArrowLeft" ? -0.2 : 0.2);
    else if (event.key === "ArrowDown" || event.key === "j") move(at + 1);
    else if (event.key === "ArrowUp" || event.key === "k") move(at - 1);
    else if (event.key === "PageDown") move(at + page);
    else if (event.key === "PageUp") move(at - page);
    else if (event.key === "Home") move(0);
    else if (event.key === "End") move(rows.length - 1);
    else if (event.key === "ArrowRight") {
      if (shut) toggled(row.i, false);
      else if (model.kids[row.i].length) move(at + 1);
    } else if (event.key === "ArrowLeft") {
      if (!shut && model.kids[row.i].length) toggled(row.i, false);
      else if (model.parent[row.i] >= 0) select(model.parent[row.i]);
    } else if (event.key === "Enter" || event.key === " ") opened(row.i);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  function clicked(event) {
    const one = event.target.closest(".wf-row");
    if (!one || String(getSelection())) return;
    at = rows.findIndex((row) => row.type === "span" && row.i === one.row.i);
    if (event.target.closest(".twist") && model.kids[one.row.i].length) toggled(one.row.i, event.altKey);
    else opened(one.row.i);
  }

  function doubled(event) {
    const one = event.target.closest(".wf-time")?.closest(".wf-row");
    if (!one) return;
    const span = model.spans[one.row.i];
    const margin = Math.max(1000, span.duration_ns * 0.05);
    view.show(span.start_ns - span.wait_ns - margin, span.start_ns + span.duration_ns + margin);
  }

  function wheeled(event) {
    const place = (event.clientX - ticks.getBoundingClientRect().left) / axisWidth();
    if (place < 0) return;
    if (event.ctrlKey || event.altKey) {
      event.preventDefault();
      view.zoom(Math.exp(event.deltaY * 0.0025), Math.min(1, place));
    } else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      event.preventDefault();
      view.pan((event.deltaX || event.deltaY) / axisWidth());
    }
  }

  /** Go to a span that is among the rows. */
  function select(i, tell = true) {
    const place = rows.findIndex((row) => row.type === "span" && row.i === i);
    if (place >= 0) move(place, tell);
  }

  // The border between names and bars.
  let width = Number(remembered()) || 0;
  const setWidth = (next) => {
    width = Math.max(140, Math.min(element.clientWidth * 0.7, next));
    element.style.setProperty("--name", `${Math.round(width)}px`);
    split.setAttribute("aria-valuenow", String(Math.round(width)));
    split.setAttribute("aria-valuemin", "140");
    split.setAttribute("aria-valuemax", String(Math.round(element.clientWidth * 0.7)));
  };
  split.addEventListener("pointerdown", (event) => {
    split.setPointerCapture(event.pointerId);
    split.classList.add("held");
  });
  split.addEventListener("pointermove", (event) => split.classList.contains("held") && (setWidth(event.clientX - element.getBoundingClientRect().left), resized()));
  split.addEventListener("pointerup", () => {
    split.classList.remove("held");
    try {
      localStorage.setItem("autopilot.names", String(width));
    } catch {
      // Storage is off: the border is where it was next time.
    }
  });
  split.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -20, ArrowRight: 20 }[event.key];
    if (!by) return;
    setWidth(width + by);
    resized();
    event.preventDefault();
    event.stopPropagation();
  });

  function resized() {
    drawAxis();
    draw(true);
  }
  const sized = new ResizeObserver(() => {
    const total = element.clientWidth;
    if (total) setWidth(Number(remembered()) || (total < 640 ? total * 0.5 : Math.min(380, total * 0.34)));
    resized();
  });
  sized.observe(element);
  view.addEventListener("change", resized);
  signal.addEventListener("abort", () => sized.disconnect());

  return {
    element, select,
    /** When nothing in sight happens in the time that is shown: go to the first row where something does. */
    follow() {
      const happens = (row) => row.type === "span" && model.spans[row.i].depth > 0 && model.spans[row.i].start_ns < view.to && model.spans[row.i].start_ns + model.spans[row.i].duration_ns > view.from && model.spans[row.i].duration_ns <= view.span;
      const first = Math.floor(scroller.scrollTop / ROW);
      if (rows.slice(first, first + Math.floor(scroller.clientHeight / ROW)).some(happens)) return;
      const place = rows.findIndex(happens);
      if (place >= 0) scroller.scrollTop = Math.max(0, place - 3) * ROW;
    },
    focus: () => scroller.focus({ preventScroll: true }),
    get current() { return rows[at]?.i ?? 0; },
    /** Show these rows; who was at a span stays there, and so does what is in sight. */
    show(nextModel, nextRows, how) {
      const stay = rows[at] && model ? model.spans[rows[at].i].span_id : null;
      const top = rows[Math.floor(scroller.scrollTop / ROW)];
      const rest = scroller.scrollTop % ROW;
      const another = model !== nextModel;
      if (another && top && model) {
        const moved = nextRows.findIndex((row) => row.key === top.key);
        if (moved >= 0) queueMicrotask(() => (scroller.scrollTop = moved * ROW + rest));
      }
      model = nextModel;
      rows = nextRows;
      collapsed = how.collapsed;
      found = how.found;
      manyServices = new Set(model.services).size > 1;
      // Who was at a span that is folded away now is at the nearest one above it.
      let again = -1;
      for (let i = model.index.get(stay) ?? -1; i >= 0 && again < 0; i = model.parent[i]) again = rows.findIndex((row) => row.type === "span" && row.i === i);
      at = again >= 0 ? again : Math.min(at, Math.max(0, rows.length - 1));
      sheet.style.height = `${rows.length * ROW}px`;
      scroller.setAttribute("aria-rowcount", String(rows.length + 1));
      drawAxis();
      draw(true);
    },
  };
}

function remembered() {
  try {
    return localStorage.getItem("autopilot.names");
  } catch {
    return null;
  }
}
