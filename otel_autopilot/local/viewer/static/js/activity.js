// How many emails began when, and how many of them failed: a strip above the list, from which a time can be cut out.

import { get } from "./api.js";
import { asTime } from "./filters.js";
import { h } from "./dom.js";
import { clock, counted, tick } from "./format.js";
import { live } from "./live.js";
import { asking } from "./states.js";
import { colours } from "./theme.js";

const HEIGHT = 44;

/** The last day, or since the oldest trace where that is less. */
function beginning() {
  const oldest = live.state?.store.oldest_unix_nano;
  return oldest && oldest / 1e6 > Date.now() - 86_400_000 ? asTime(oldest - 1e9) : "24h";
}

/** @param {{signal: AbortSignal, change: (changes: Record<string, string>) => void}} options */
export function activity({ signal, change }) {
  const next = asking(signal);
  const canvas = h("canvas", { "aria-hidden": "true" });
  const tip = h("div", { class: "tip", hidden: true });
  const axis = h("div", { class: "strip-axis muted", "aria-hidden": "true" });
  const said = h("p", { class: "seldom" });
  const element = h("figure", { class: "strip", hidden: true, "aria-label": "Emails over time" }, canvas, tip, axis, said);
  let bins = null;
  let drag = null;

  async function load(filters) {
    try {
      const { service, workflow, version, from, to } = filters;
      const mine = next();
      await live.ready;
      const answer = await get("heatmap", { service, workflow, version, from: from ?? beginning(), to, columns: 120 }, mine);
      const sum = (column) => column.reduce((total, one) => total + one, 0);
      bins = { ...answer, all: answer.counts.map(sum), bad: answer.errors.map(sum) };
      element.hidden = bins.all.every((one) => one === 0);
      const total = sum(bins.all);
      said.textContent = `${counted(total, "email")}, ${sum(bins.bad)} with errors, from ${clock(bins.from_unix_nano, false)} to ${clock(bins.to_unix_nano, false)}`;
      draw();
    } catch (error) {
      if (error.name !== "AbortError") element.hidden = true;
    }
  }

  function draw() {
    const width = element.clientWidth;
    if (!bins || !width) return;
    const scale = devicePixelRatio || 1;
    canvas.width = width * scale;
    canvas.height = HEIGHT * scale;
    const pen = canvas.getContext("2d");
    pen.scale(scale, scale);
    const [other, bad, accent] = colours("control", "bad-fill", "accent");
    const most = Math.max(1, ...bins.all);
    const step = width / bins.all.length;
    bins.all.forEach((all, place) => {
      if (!all) return;
      const x = Math.round(place * step);
      const w = Math.max(1, Math.round((place + 1) * step) - x - 1);
      const tall = Math.max(2, Math.round((HEIGHT - 4) * all / most));
      const red = bins.bad[place] ? Math.max(2, Math.round(tall * bins.bad[place] / all)) : 0;
      pen.globalAlpha = 0.55;
      pen.fillStyle = other;
      pen.fillRect(x, HEIGHT - tall, w, tall - red);
      pen.globalAlpha = 1;
      pen.fillStyle = bad;
      pen.fillRect(x, HEIGHT - red, w, red);
    });
    if (drag) {
      pen.globalAlpha = 0.22;
      pen.fillStyle = accent;
      pen.fillRect(Math.min(drag.from, drag.to), 0, Math.abs(drag.to - drag.from), HEIGHT);
      pen.globalAlpha = 1;
    }
    const span = bins.to_unix_nano - bins.from_unix_nano;
    const ticks = Math.max(2, Math.min(8, Math.floor(width / 150)));
    axis.replaceChildren(...Array.from({ length: ticks }, (_, place) => h("span", null, tick(bins.from_unix_nano + (span * place) / ticks, span))), h("span", null, tick(bins.to_unix_nano, span)));
  }

  const at = (x) => bins.from_unix_nano + (x / element.clientWidth) * (bins.to_unix_nano - bins.from_unix_nano);
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    drag = { from: event.offsetX, to: event.offsetX };
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!bins) return;
    if (drag) drag.to = event.offsetX;
    const place = Math.max(0, Math.min(bins.all.length - 1, Math.floor(event.offsetX / element.clientWidth * bins.all.length)));
    tip.hidden = false;
    tip.textContent = drag && Math.abs(drag.to - drag.from) > 4 ? `${clock(at(Math.min(drag.from, drag.to)), false)} to ${clock(at(Math.max(drag.from, drag.to)), false)}` : `${clock(bins.from_unix_nano + place * bins.step_ns, false)} · ${counted(bins.all[place], "email")}${bins.bad[place] ? `, ${bins.bad[place]} with errors` : ""}`;
    tip.style.left = `${Math.max(0, Math.min(element.clientWidth - 240, event.offsetX + 12))}px`;
    draw();
  });
  canvas.addEventListener("pointerup", () => {
    if (drag && Math.abs(drag.to - drag.from) > 4) change({ from: asTime(at(Math.min(drag.from, drag.to))), to: asTime(at(Math.max(drag.from, drag.to))) });
    drag = null;
    draw();
  });
  canvas.addEventListener("pointerleave", () => (tip.hidden = true));
  const sized = new ResizeObserver(draw);
  sized.observe(element);
  document.addEventListener("themechange", draw, { signal });
  signal.addEventListener("abort", () => sized.disconnect());
  return { element, load };
}
