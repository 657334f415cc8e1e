// Numbers and times as people read them.

import { h } from "./dom.js";

const THIN = new Intl.NumberFormat("en-US");
const DAY = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" });
const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
const SHORT = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hour12: false });

/** A duration in nanoseconds: 480 ns, 12 µs, 3.4 ms, 340 ms, 1.25 s, 2 m 05 s, 1 h 03 m, 3 d 4 h. */
export function duration(ns) {
  if (ns === null || ns === undefined || Number.isNaN(ns)) return "–";
  if (ns < 0) return "−" + duration(-ns);
  if (ns === 0) return "0";
  if (ns < 1e3) return `${Math.round(ns)} ns`;
  if (ns < 999_500) return `${Math.round(ns / 1e3)} µs`;
  if (ns < 99_950_000) return `${(ns / 1e6).toFixed(1)} ms`;
  if (ns < 999_500_000) return `${Math.round(ns / 1e6)} ms`;
  if (ns < 59_995_000_000) return `${(ns / 1e9).toFixed(2)} s`;
  const seconds = Math.round(ns / 1e9);
  if (seconds < 3600) return `${Math.floor(seconds / 60)} m ${two(seconds % 60)} s`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ${two(Math.floor((seconds % 3600) / 60))} m`;
  return `${Math.floor(seconds / 86_400)} d ${Math.floor((seconds % 86_400) / 3600)} h`;
}

const two = (number) => String(number).padStart(2, "0");

/** Nanoseconds of a text such as "250", "1.5s", "2 m"; a bare number is milliseconds. Null when it is none. */
export function parseDuration(text) {
  const match = /^\s*([\d.,]+)\s*(ns|µs|us|ms|s|m|min|h)?\s*$/i.exec(text);
  const number = match ? Number(match[1].replace(",", ".")) : Number.NaN;
  if (!match || Number.isNaN(number)) return null;
  const unit = (match[2] ?? "ms").toLowerCase();
  return number * { ns: 1, "µs": 1e3, us: 1e3, ms: 1e6, s: 1e9, m: 60e9, min: 60e9, h: 3600e9 }[unit];
}

/** A change of a duration, with its sign. */
export function delta(ns) {
  if (ns === null || ns === undefined) return "–";
  return ns === 0 ? "±0" : ns > 0 ? `+${duration(ns)}` : `−${duration(-ns)}`;
}

/** A whole number with separators. */
export function count(number) {
  return number === null || number === undefined ? "–" : THIN.format(Math.round(number));
}

/** "1 span", "11 spans". */
export function counted(number, one, many = one + "s") {
  return `${count(number)} ${number === 1 ? one : many}`;
}

/** Bytes: 812 B, 4.1 kB, 48 MB. */
export function bytes(number) {
  if (number === null || number === undefined) return "–";
  let value = Math.abs(number);
  for (const unit of ["B", "kB", "MB", "GB"]) {
    if (value < 999.5 || unit === "GB") return `${number < 0 ? "−" : ""}${unit === "B" || value >= 99.5 ? Math.round(value) : value.toFixed(1)} ${unit}`;
    value /= 1000;
  }
  return "";
}

/** A share of 1 as a percentage. */
export function percent(share) {
  if (share === null || share === undefined || Number.isNaN(share)) return "–";
  const value = share * 100;
  return value === 0 ? "0 %" : value < 0.1 ? "<0.1 %" : value < 10 ? `${value.toFixed(1)} %` : `${Math.round(value)} %`;
}

/** A value of a metric by its UCUM unit. */
export function measured(value, unit) {
  if (value === null || value === undefined) return "–";
  if (unit === "s") return duration(value * 1e9);
  if (unit === "ms") return duration(value * 1e6);
  if (unit === "By") return bytes(value);
  if (unit === "By/s") return `${bytes(value)}/s`;
  const name = unit.replace(/^1(?=$|\/)/, "").replace(/[{}]/g, "");
  return number(value) + (name ? ` ${name}` : "");
}

/** A number of any size with about three digits. */
export function number(value) {
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size >= 1e6) return `${(value / 1e6).toFixed(size >= 1e8 ? 0 : 1)} M`;
  if (size >= 1000) return THIN.format(Math.round(value));
  if (size >= 100) return String(Math.round(value));
  if (size >= 0.001) return String(Number(value.toPrecision(3)));
  return value.toExponential(1);
}

/** How long ago: now, 12 s, 4 min, 3 h, 2 d. */
export function age(unixNano, now = Date.now()) {
  const seconds = (now - unixNano / 1e6) / 1000;
  if (seconds < 1) return "now";
  if (seconds < 60) return `${Math.floor(seconds)} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86_400)} d ago`;
}

/** The exact time in UTC, to the millisecond. */
export function utc(unixNano) {
  return new Date(unixNano / 1e6).toISOString().replace("T", " ").replace("Z", " UTC");
}

/** Local clock time, with the day where it isn't today. */
export function clock(unixNano, millis = true) {
  const date = new Date(unixNano / 1e6);
  const time = CLOCK.format(date) + (millis ? "." + String(date.getMilliseconds()).padStart(3, "0") : "");
  return date.toDateString() === new Date().toDateString() ? time : `${DAY.format(date)} ${time}`;
}

/** A tick of a time axis `span` nanoseconds long. */
export function tick(unixNano, span) {
  const date = new Date(unixNano / 1e6);
  if (span < 600e9) return CLOCK.format(date);
  return span > 36 * 3600e9 ? `${DAY.format(date)} ${SHORT.format(date)}` : SHORT.format(date);
}

/** A `<time>` with the exact UTC as its tooltip; `live` ones are kept up to date by `agesGoOn`. */
export function timeElement(unixNano, { relative = false, millis = true } = {}) {
  const exact = utc(unixNano);
  return h("time", { datetime: new Date(unixNano / 1e6).toISOString(), title: relative ? `${clock(unixNano)} local · ${exact}` : exact, data: relative ? { age: String(unixNano) } : {} },
    relative ? age(unixNano) : clock(unixNano, millis));
}

/** Bring every age on the page up to date. */
export function refreshAges(root = document) {
  const now = Date.now();
  for (const element of root.querySelectorAll("time[data-age]")) {
    const text = age(Number(element.dataset.age), now);
    if (element.textContent !== text) element.textContent = text;
  }
}
