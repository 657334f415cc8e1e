// The keyboard: what holds everywhere, and what the page that is shown adds.

import { h, fill } from "./dom.js";
import { currentPage, go } from "./router.js";

const PLACES = { e: "/view/", t: "/view/traces", l: "/view/latency", c: "/view/compare", m: "/view/metrics", g: "/view/logs", r: "/view/runtime", h: "/view/health" };
const EVERYWHERE = [["/", "search"], ["?", "this help"], ["p", "pause or go on"], ["g e", "emails"], ["g t", "traces"], ["g l", "latency"], ["g c", "compare"], ["g m", "metrics"], ["g g", "logs"], ["g r", "runtime"], ["g h", "telemetry health"]];
let afterG = 0;

/** @param {{search: () => void, pause: () => void}} does */
export function startKeys(does) {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const target = event.target instanceof Element ? event.target : document.body;
    if (target.closest("input, select, textarea, [contenteditable]")) {
      if (event.key === "Escape") target.blur();
      return;
    }
    if (Date.now() - afterG < 1200 && PLACES[event.key]) {
      afterG = 0;
      event.preventDefault();
      go(PLACES[event.key]);
      return;
    }
    afterG = 0;
    // A focused link or button keeps the keys that work it.
    if ((event.key === "Enter" || event.key === " ") && target.closest("a, button, summary")) return;
    const own = currentPage()?.keys?.[event.key];
    if (own) {
      if (own(event) !== false) event.preventDefault();
    } else if (event.key === "g") afterG = Date.now();
    else if (event.key === "/") {
      event.preventDefault();
      does.search();
    } else if (event.key === "p") does.pause();
    else if (event.key === "?") showHelp();
  });
}

/** What the keys do, in a dialog. */
export function showHelp() {
  const own = currentPage()?.help ?? [];
  const list = (pairs) => pairs.map(([keys, what]) => [h("dt", null, keys.split(" ").map((key) => h("kbd", null, key))), h("dd", null, what)]);
  const dialog = h("dialog", { "aria-labelledby": "help-title", on: { close: () => dialog.remove(), click: (event) => event.target === dialog && dialog.close() } });
  fill(dialog, h("h2", { id: "help-title", tabindex: "-1", autofocus: true }, "Keyboard"),
    own.length > 0 && h("dl", { class: "keys" }, list(own)),
    h("h3", { class: "muted" }, own.length ? "Everywhere" : ""), h("dl", { class: "keys" }, list(EVERYWHERE)),
    h("form", { method: "dialog", class: "bar", style: { "margin-top": "16px", "justify-content": "flex-end" } }, h("button", { class: "button" }, "Close")));
  document.body.append(dialog);
  dialog.showModal();
}
