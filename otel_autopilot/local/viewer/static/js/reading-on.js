// Text is looked for a second at a time: go on until enough is found, all is read, or the reader has had enough.

import { h, fill } from "./dom.js";
import { count, timeElement } from "./format.js";

/**
 * Whether a search goes on by itself, and the line that says how far it came.
 * @param {{enough: number, stopped: () => void}} options `enough` more rows end it; `stopped` is called when the reader stops it
 */
export function readingOn({ enough, stopped: tell }) {
  let goal = enough;
  let stopped = false;
  const told = h("p", { class: "muted number" });
  // The same button throughout: who is on it stays there while the line above it changes.
  const stop = h("button", { type: "button", class: "button", on: { click: () => ((stopped = true), tell()) } }, "Stop");
  const element = h("div", { class: "reading", hidden: true }, h("i", { class: "reading-bar", "aria-hidden": "true" }), told, stop);
  return {
    element,
    get stopped() { return stopped; },
    /** Another question, or so many more rows of the same one. */
    begin(found = 0) {
      goal = found + enough;
      stopped = false;
    },
    /** Whether the next second is to be asked for. @param {any} answer the last one @param {number} found rows so far */
    wants: (answer, found) => Boolean(answer && answer.complete === false && answer.next && !stopped && found < goal),
    /** @param {any} answer the last one while it goes on, else null @param {number} found */
    show(answer, found) {
      element.hidden = !answer;
      if (answer) fill(told, `Searching: ${count(found)} found, back to `, timeElement(answer.searched_to_unix_nano, { millis: false }), " so far.");
    },
  };
}
