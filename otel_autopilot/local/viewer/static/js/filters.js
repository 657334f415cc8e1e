// Filters of a page: fields that show what the address says, and change it.

import { get } from "./api.js";
import { h, fill } from "./dom.js";
import { duration, parseDuration } from "./format.js";
import { line } from "./text.js";

let facets = null;
let facetsAt = 0;

/** What there is to choose from; asked again after half a minute. */
export async function loadFacets() {
  if (!facets || Date.now() - facetsAt > 30_000) {
    facetsAt = Date.now();
    facets = get("facets").catch((error) => {
      facets = null;
      throw error;
    });
  }
  return facets;
}

/**
 * A choice bound to a parameter.
 * @param {{name: string, label: string, any?: string, options?: [string, string][], facet?: string, change: (changes: Record<string, string>) => void}} field
 *   `facet` names the list of `facets` that has the options; `any` is what no choice is called
 */
export function choice({ name, label, any = "any", options = [], facet, change }) {
  const select = h("select", { name, "aria-label": label, on: { change: () => change({ [name]: select.value }) } });
  const element = h("label", { class: "field" }, h("span", null, label), select);
  let wanted = "";
  const draw = (list) => {
    const known = list.some(([value]) => value === wanted);
    fill(select, any !== null && h("option", { value: "" }, any), [...list, ...(wanted && !known ? [[wanted, wanted]] : [])].map(([value, text]) => h("option", { value }, line(text, 60))));
    select.value = wanted;
    element.classList.toggle("set", wanted !== "" && any !== null);
  };
  if (facet) {
    loadFacets().then((all) => {
      options = (all[facet] ?? []).map((one) => [one, one]);
      draw(options);
    }, () => {});
  }
  const show = (query) => {
    wanted = query.get(name) ?? "";
    draw(options);
  };
  return {
    element, show,
    /** Other options than before. */
    options(list, query) {
      options = list;
      show(query);
    },
  };
}

/** A switch for a parameter that is "true" or absent. */
export function toggle({ name, label, change }) {
  const button = h("button", { type: "button", class: "button", "aria-pressed": "false", on: { click: () => change({ [name]: button.getAttribute("aria-pressed") === "true" ? null : "true" }) } }, label);
  return { element: button, show(query) { button.setAttribute("aria-pressed", String(query.get(name) === "true")); } };
}

/** Least and most duration, bound to `min_ms` and `max_ms`; takes "250", "1.5s", "2m". */
export function durations({ change }) {
  const told = h("span", { class: "outcome failed", role: "alert" });
  const field = (name, label) => {
    const input = h("input", { type: "text", "aria-label": `Duration ${label}`, placeholder: "1.5s", on: { change: apply, keydown: (event) => event.key === "Enter" && apply() } });
    const element = h("label", { class: "field" }, h("span", null, label), input);
    function apply() {
      const ns = input.value.trim() ? parseDuration(input.value) : null;
      const wrong = input.value.trim() !== "" && ns === null;
      element.classList.toggle("wrong", wrong);
      input.setAttribute("aria-invalid", String(wrong));
      told.textContent = wrong ? `${label} expects a duration such as 250 ms, 1.5 s or 2 m` : "";
      if (!wrong) change({ [name]: ns === null ? null : String(ns / 1e6) });
    }
    return { element, show(query) {
      const value = query.get(name);
      if (document.activeElement !== input && !element.classList.contains("wrong")) input.value = value ? duration(Number(value) * 1e6) : "";
      element.classList.toggle("set", Boolean(value));
    } };
  };
  const fields = [field("min_ms", "≥"), field("max_ms", "<")];
  return { element: [...fields.map((one) => one.element), told], show: (query) => fields.forEach((one) => one.show(query)) };
}

const PRESETS = [["15m", "last 15 min"], ["1h", "last hour"], ["6h", "last 6 hours"], ["24h", "last 24 hours"], ["7d", "last 7 days"], ["30d", "last 30 days"]];

/**
 * A time range bound to `from` and `to` (or names of their own).
 * @param {{from?: string, to?: string, any?: string | null, initial?: string, change: (changes: Record<string, string | null>) => void}} options
 *   `any` is what no range is called, null where there always is one, `initial` then
 */
export function range({ from = "from", to = "to", any = "any time", initial = "", change }) {
  const select = h("select", { "aria-label": "Time range", on: { change: chosen } });
  const input = (label) => h("input", { type: "datetime-local", step: "1", "aria-label": label, on: { change: typed } });
  const [begin, end] = [input("From (local time)"), input("To (local time)")];
  const element = h("span", { class: "field" }, h("span", null, "Time"), select);
  const own = h("span", { class: "field" }, begin, h("span", null, "to"), end);
  own.hidden = true;
  function chosen() {
    if (select.value !== "own") return change({ [from]: select.value || null, [to]: null });
    own.hidden = false;
    begin.focus();
    return undefined;
  }
  function typed() {
    const iso = (value) => (value ? new Date(value).toISOString().replace(".000", "") : null);
    change({ [from]: iso(begin.value), [to]: iso(end.value) });
  }
  return {
    element: [element, own],
    show(query) {
      const value = query.get(from) ?? initial;
      const preset = !query.get(to) && (value === "" || PRESETS.some(([one]) => one === value));
      fill(select, any !== null && h("option", { value: "" }, any), PRESETS.map(([one, text]) => h("option", { value: one }, text)), h("option", { value: "own" }, "from … to …"));
      select.value = preset ? value : "own";
      own.hidden = preset;
      if (!preset) {
        if (document.activeElement !== begin) begin.value = localTime(value);
        if (document.activeElement !== end) end.value = localTime(query.get(to));
      }
      element.classList.toggle("set", any !== null && value !== "");
    },
  };
}

/** What the API takes as a time, as a datetime-local field has it. */
function localTime(value) {
  if (!value) return "";
  const back = /^([\d.]+)([smhd])$/.exec(value);
  const date = back ? new Date(Date.now() - Number(back[1]) * { s: 1e3, m: 6e4, h: 36e5, d: 864e5 }[back[2]]) : /^[\d.]+$/.test(value) ? new Date(Number(value) * 1000) : new Date(value);
  if (Number.isNaN(date.getTime())) return "";
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}

/** Nanoseconds as the API takes a time: Unix seconds, to the microsecond. */
export const asTime = (unixNano) => (unixNano / 1e9).toFixed(6).replace(/\.?0+$/, "");

/** A choice of few, side by side. @param {{label: string, options: [string, string][], chosen: (value: string) => void}} field */
export function segments({ label, options, chosen }) {
  const buttons = new Map(options.map(([value, text]) => [value, h("button", { type: "button", "aria-pressed": "false", on: { click: () => chosen(value) } }, text)]));
  return {
    element: h("div", { class: "segments", role: "group", "aria-label": label }, [...buttons.values()]),
    show(value) { for (const [one, button] of buttons) button.setAttribute("aria-pressed", String(one === value)); },
  };
}
