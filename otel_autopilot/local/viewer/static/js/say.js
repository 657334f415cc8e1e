// Words to the reader that need no answer: a toast, and what screen readers say.

import { h } from "./dom.js";

const polite = h("div", { class: "seldom", "aria-live": "polite" });
const toasts = h("div", { class: "toasts", role: "status" });
document.body.append(polite, toasts);

/** Said by a screen reader, shown to nobody. */
export function announce(text) {
  polite.textContent = text;
}

/** Shown for a moment. */
export function toast(text) {
  const element = h("div", { class: "toast" }, text);
  toasts.replaceChildren(element);
  setTimeout(() => element.remove(), 2200);
}

/** Copy, and say so. */
export async function copy(text, what = "Copied") {
  try {
    await navigator.clipboard.writeText(text);
    toast(what);
  } catch {
    // Over plain HTTP from another machine browsers keep the clipboard from pages: the old way works there.
    const area = h("textarea", { class: "seldom", value: text });
    (document.querySelector("dialog[open]") ?? document.body).append(area);
    area.select();
    toast(document.execCommand("copy") ? what : "The browser doesn't let this page copy");
    area.remove();
  }
}
