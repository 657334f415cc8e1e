// Light, dark, or what the system says.

import { h, fill } from "./dom.js";
import { icon } from "./icons.js";

const CHOICES = { system: "screen", light: "sun", dark: "moon" };
const system = matchMedia("(prefers-color-scheme: dark)");
let choice = remembered();

/** The button in the top bar; fires "themechange" on the document for what is drawn on a canvas. */
export function themeButton() {
  const button = h("button", { type: "button", class: "button quiet square", on: { click: next } });
  function next() {
    const names = Object.keys(CHOICES);
    choice = names[(names.indexOf(choice) + 1) % names.length];
    try {
      localStorage.setItem("autopilot.theme", choice);
    } catch {
      // Storage is off: it holds until the page is left.
    }
    apply();
  }
  function apply() {
    const dark = choice === "dark" || (choice === "system" && system.matches);
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    fill(button, icon(CHOICES[choice]));
    button.title = `Theme: ${choice}`;
    button.setAttribute("aria-label", `Theme: ${choice}. Change`);
    document.dispatchEvent(new CustomEvent("themechange"));
  }
  system.addEventListener("change", apply);
  apply();
  return button;
}

function remembered() {
  try {
    const value = localStorage.getItem("autopilot.theme");
    return value in CHOICES ? value : "system";
  } catch {
    return "system";
  }
}

/** Values of custom properties as they are now, for a canvas. @param {string[]} names */
export function colours(...names) {
  const style = getComputedStyle(document.documentElement);
  return names.map((name) => style.getPropertyValue(`--${name}`).trim());
}
