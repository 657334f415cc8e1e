// The piece of a trace's time that is shown: zoom and pan, and the axis over it.

import { duration } from "./format.js";

/** A trace's time, of which a piece is shown. Times are nanoseconds from the trace's start. */
export class TimeWindow extends EventTarget {
  /** @param {number} length of the trace */
  constructor(length) {
    super();
    this.length = length;
    this.from = 0;
    this.to = length;
  }

  get span() { return this.to - this.from; }
  get whole() { return this.from <= 0 && this.to >= this.length; }

  /** Where a time is: 0 at the left edge, 1 at the right one. */
  place(time) { return (time - this.from) / this.span; }
  /** The time at a place. */
  at(place) { return this.from + place * this.span; }

  /** Show this piece, as far as there is one. */
  show(from, to) {
    const least = Math.max(1000, this.length / 1e6);
    let span = Math.min(Math.max(least, Math.abs(to - from)), this.length);
    if (span > this.length * 0.999) span = this.length;
    const begin = Math.max(0, Math.min(Math.min(from, to), this.length - span));
    if (begin === this.from && begin + span === this.to) return;
    this.from = begin;
    this.to = begin + span;
    this.dispatchEvent(new Event("change"));
  }

  /** Zoom by a factor, keeping the time at `place` where it is. */
  zoom(factor, place = 0.5) {
    const time = this.at(place);
    const span = this.span * factor;
    this.show(time - place * span, time + (1 - place) * span);
  }

  /** Move by a share of what is shown. */
  pan(share) {
    const by = Math.max(-this.from, Math.min(this.length - this.to, share * this.span));
    this.show(this.from + by, this.to + by);
  }

  reset() { this.show(0, this.length); }

  /** Another length, for a trace that goes on; who saw the whole goes on to. */
  grow(length) {
    const whole = this.whole;
    this.length = length;
    if (whole) {
      this.from = 0;
      this.to = length;
    } else this.to = Math.min(this.to, length);
  }

  /** Round times for about `most` ticks. @returns {{time: number, label: string}[]} */
  ticks(most) {
    const raw = this.span / Math.max(1, most);
    const power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map((one) => one * power).find((one) => one >= raw) ?? raw;
    const ticks = [];
    for (let time = Math.ceil(this.from / step) * step; time <= this.to; time += step) ticks.push({ time, label: axisLabel(time, step) });
    return ticks;
  }
}

/** A time with as many digits as the step between ticks needs. */
function axisLabel(time, step) {
  if (time === 0) return "0";
  const [unit, size] = time >= 1e9 && step >= 1e6 ? ["s", 1e9] : time >= 1e6 && step >= 1e3 ? ["ms", 1e6] : time >= 1e3 ? ["µs", 1e3] : ["ns", 1];
  if (unit === "s" && time >= 60e9) return duration(time);
  const digits = Math.max(0, Math.min(6, -Math.floor(Math.log10(step / size) + 1e-9)));
  return `${(time / size).toFixed(digits)} ${unit}`;
}

/**
 * Drag over an element to choose a piece of time; a double click shows the whole.
 * @param {HTMLElement} element
 * @param {{time: (x: number) => number, marked: (from: number, to: number) => void, chosen: (from: number, to: number) => void, none?: (time: number) => void, reset: () => void}} does
 */
export function dragsTime(element, { time, marked, chosen, none, reset }) {
  let begin = null;
  const x = (event) => event.clientX - element.getBoundingClientRect().left;
  element.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    begin = x(event);
    element.setPointerCapture(event.pointerId);
  });
  element.addEventListener("pointermove", (event) => begin !== null && marked(time(Math.min(begin, x(event))), time(Math.max(begin, x(event)))));
  element.addEventListener("pointerup", (event) => {
    if (begin === null) return;
    const [from, to] = [begin, x(event)];
    begin = null;
    marked(0, 0);
    if (Math.abs(to - from) > 4) chosen(time(Math.min(from, to)), time(Math.max(from, to)));
    else none?.(time(to));
  });
  element.addEventListener("pointercancel", () => {
    begin = null;
    marked(0, 0);
  });
  element.addEventListener("dblclick", reset);
}
