// Our own small set of 16 × 16 line icons.

import { s } from "./dom.js";

const PATHS = {
  check: "M3 8.5l3.2 3.2L13 5", cross: "M4 4l8 8M12 4l-8 8", alert: "M8 2.2L14.5 13.5h-13zM8 6.5v3.2M8 11.6v.2", clock: "M8 2a6 6 0 100 12A6 6 0 008 2zM8 4.8V8l2.2 1.6",
  copy: "M6 6h7v7H6zM3 10V3h7", link: "M6.5 9.5l3-3M7 4.5l1.6-1.6a2.8 2.8 0 014 4L11 8.5M9 11.5l-1.6 1.6a2.8 2.8 0 01-4-4L5 7.5", out: "M9 3h4v4M13 3L7.5 8.5M11.5 9.5V13H3V4.5h3.5",
  search: "M7 2.5a4.5 4.5 0 100 9 4.5 4.5 0 000-9zM10.4 10.4L14 14", sun: "M8 5a3 3 0 100 6 3 3 0 000-6zM8 1.5v1.2M8 13.3v1.2M1.5 8h1.2M13.3 8h1.2M3.4 3.4l.9.9M11.7 11.7l.9.9M3.4 12.6l.9-.9M11.7 4.3l.9-.9",
  moon: "M13 9.5A5.5 5.5 0 016.5 3a5.5 5.5 0 106.5 6.5z", screen: "M2 3h12v8H2zM6 13.5h4", menu: "M2.5 4h11M2.5 8h11M2.5 12h11", down: "M4 6l4 4 4-4", right: "M6 4l4 4-4 4", up: "M4 10l4-4 4 4",
  play: "M5 3.5v9l7-4.5z", pause: "M5.5 3.5v9M10.5 3.5v9", compare: "M5 2.5v11M11 2.5v11M2 5.5h6M8 10.5h6", plus: "M8 3v10M3 8h10", minus: "M3 8h10", reset: "M3 8a5 5 0 105-5H4.5M6.5 1L4.2 3l2.3 2",
  skip: "M4 4l4 4-4 4M9 4l4 4-4 4", help: "M6 6a2 2 0 113 1.7c-.7.4-1 .8-1 1.6M8 11.5v.2M8 1.8a6.2 6.2 0 100 12.4A6.2 6.2 0 008 1.8z", retry: "M13 8a5 5 0 11-1.5-3.5M13 2v3h-3", ghost: "M3.5 14V7a4.5 4.5 0 019 0v7l-2-1.5L8 14l-2.5-1.5zM6.5 7v.3M9.5 7v.3",
  run: "M8 2a6 6 0 11-6 6", filter: "M2.5 3.5h11L9.5 8.5v4l-3 1v-5z", path: "M2 12h4V5h4v5h4", list: "M5.5 4H14M5.5 8H14M5.5 12H14M2 4h.5M2 8h.5M2 12h.5",
};

/** @param {keyof typeof PATHS} name @param {string} [label] what it says to who can't see it; without, it is decoration */
export function icon(name, label) {
  return s("svg", { class: `icon icon-${name}`, viewBox: "0 0 16 16", width: "16", height: "16", role: label ? "img" : null, "aria-label": label, "aria-hidden": label ? null : "true" }, s("path", { d: PATHS[name] }));
}
