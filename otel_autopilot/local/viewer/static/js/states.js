// What a page says while it has nothing to show: loading, empty, failed.

import { Problem, Unreachable } from "./api.js";
import { h } from "./dom.js";
import { icon } from "./icons.js";
import { line } from "./text.js";

/** What went wrong, in the backend's words, and a way to try again. */
export function problemNote(error, retry) {
  const title = error instanceof Problem ? error.title : error instanceof Unreachable ? "The server doesn't answer" : "Something went wrong";
  const detail = error instanceof Unreachable ? "It is tried again by itself; this page goes on when it is back." : error.message;
  return h("div", { class: "note bad", role: "alert" },
    icon("alert"),
    h("div", null, h("strong", null, line(title)), h("p", null, line(detail, 600))),
    retry && h("button", { type: "button", class: "button", on: { click: retry } }, "Try again"));
}

/** Nothing here, and what can be done about it. */
export function emptyNote(title, ...more) {
  return h("div", { class: "empty" }, h("h2", null, title), more);
}

/**
 * Run `load`, and show that it runs only when it takes long: no flicker for what is quick.
 * @template T
 * @param {HTMLElement} element gets `aria-busy` and the class `waiting`
 * @param {() => Promise<T>} load
 * @returns {Promise<T>}
 */
export async function waiting(element, load) {
  const note = h("p", { class: "loading", role: "status" }, "Loading…");
  const timers = [setTimeout(() => element.classList.add("waiting"), 180), setTimeout(() => element.append(note), 300)];
  element.setAttribute("aria-busy", "true");
  try {
    return await load();
  } finally {
    timers.forEach(clearTimeout);
    note.remove();
    element.classList.remove("waiting");
    element.removeAttribute("aria-busy");
  }
}

/**
 * A question that is asked again and again, of which only the last answer counts.
 * @param {AbortSignal} signal of the page
 */
export function asking(signal) {
  let last = null;
  signal.addEventListener("abort", () => last?.abort());
  return () => {
    last?.abort();
    last = new AbortController();
    if (signal.aborted) last.abort();
    return last.signal;
  };
}
