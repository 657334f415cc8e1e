// What others wrote: values can be a megabyte long, hold control characters, or turn the direction of the line around.

import { h } from "./dom.js";
import { bytes } from "./format.js";

/** Longer values are cut; a button shows the rest. */
const CUT_CHARACTERS = 1200;
/** More than this is never put on a page: copying gives the whole. */
const MOST_CHARACTERS = 200_000;

/** Characters that draw nothing, move the cursor or change the direction of what follows. */
const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/g;

/** The text with unseen characters made visible, as their code point in brackets (⟨1B⟩, ⟨202E⟩). Newlines and tabs stay. */
export function clean(value) {
  return String(value).replace(UNSEEN, (character) => `⟨${character.codePointAt(0).toString(16).toUpperCase().padStart(2, "0")}⟩`);
}

/** One line of at most `most` characters. */
export function line(value, most = 200) {
  const text = String(value ?? "");
  const cut = text.slice(0, most * 2).replace(/\s+/g, " ");
  const cleaned = clean(cut.slice(0, most));
  return cut.length > most || text.length > most * 2 ? cleaned + "…" : cleaned;
}

/** An element with the value, cut where it is long, with a button that shows all of it. */
export function long(value, className = "") {
  const text = String(value ?? "");
  const body = h("span", { class: `long ${className}`, dir: "auto" }, clean(text.slice(0, CUT_CHARACTERS)));
  if (text.length <= CUT_CHARACTERS) return body;
  const size = bytes(new Blob([text]).size);
  const button = h("button", {
    type: "button", class: "link more", "aria-expanded": "false",
    on: {
      click: (event) => {
        event.stopPropagation();
        const open = button.getAttribute("aria-expanded") === "true";
        const end = text.length > MOST_CHARACTERS ? `\n… ${bytes(text.length - MOST_CHARACTERS)} more: copy to have all` : "";
        body.textContent = clean(open ? text.slice(0, CUT_CHARACTERS) : text.slice(0, MOST_CHARACTERS)) + (open ? "" : end);
        button.setAttribute("aria-expanded", String(!open));
        button.textContent = open ? `show all (${size})` : "show less";
      },
    },
  }, `show all (${size})`);
  return h("span", { class: "long-value" }, body, h("span", { class: "cut" }, "… "), button);
}

/** A value of an attribute as text: strings as they are, the rest as JSON. */
export function plain(value) {
  return typeof value === "string" ? value : JSON.stringify(value, null, value && typeof value === "object" ? 1 : 0) ?? "";
}
