// The whole trace in a strip: drag to zoom, a double click shows all again.

import { h } from "./dom.js";
import { colours } from "./theme.js";
import { dragsTime } from "./time-window.js";

const HEIGHT = 52;
const AXIS = 4;

/** @param {{view: import("./time-window.js").TimeWindow, signal: AbortSignal, moved: () => void}} options `moved`: another time was chosen here */
export function minimap({ view, signal, moved }) {
  const canvas = h("canvas", { "aria-hidden": "true" });
  const left = h("div", { class: "veil left" });
  const right = h("div", { class: "veil right" });
  const marked = h("div", { class: "marked", hidden: true });
  const element = h("div", { class: "minimap", title: "Drag to zoom, double click to show all" }, canvas, left, right, marked);
  let model = null;

  function frame() {
    left.style.width = `${(100 * view.from) / view.length}%`;
    right.style.width = `${(100 * (view.length - view.to)) / view.length}%`;
  }

  function draw() {
    const width = element.clientWidth;
    if (!model || !width) return;
    const scale = devicePixelRatio || 1;
    canvas.width = width * scale;
    canvas.height = HEIGHT * scale;
    const pen = canvas.getContext("2d");
    pen.scale(scale, scale);
    const [email, ingestion, digest, delivery, other, bad, line] = colours("email", "ingestion", "digest", "delivery", "other", "bad-fill", "line");
    const colour = { email, ingestion, digest, delivery };
    pen.fillStyle = line;
    for (const { time } of view.whole ? view.ticks(width / 110) : []) pen.fillRect(Math.round((time / view.length) * width), 0, 1, HEIGHT);
    const { spans } = model;
    const tall = Math.max(1, Math.min(5, (HEIGHT - 2 * AXIS) / spans.length - 0.5));
    const room = (HEIGHT - 2 * AXIS - tall) / Math.max(1, spans.length - 1);
    spans.forEach((span, i) => {
      const x = (span.start_ns / view.length) * width;
      pen.globalAlpha = span.lost ? 0.4 : 1;
      pen.fillStyle = span.error ? bad : (colour[span.stage] ?? other);
      pen.fillRect(x, AXIS + i * room, Math.max(1, (span.duration_ns / view.length) * width), span.error ? Math.max(2, tall) : tall);
    });
  }

  dragsTime(element, {
    time: (x) => (x / element.clientWidth) * view.length,
    marked(from, to) {
      marked.hidden = from === to;
      marked.style.left = `${(100 * from) / view.length}%`;
      marked.style.width = `${(100 * (to - from)) / view.length}%`;
    },
    chosen(from, to) {
      view.show(from, to);
      moved();
    },
    none(time) {
      if (view.whole) return;
      view.show(time - view.span / 2, time + view.span / 2);
      moved();
    },
    reset: () => view.reset(),
  });
  view.addEventListener("change", frame);
  document.addEventListener("themechange", draw, { signal });
  const sized = new ResizeObserver(draw);
  sized.observe(element);
  signal.addEventListener("abort", () => sized.disconnect());
  return { element, show(next) { model = next; draw(); frame(); } };
}
