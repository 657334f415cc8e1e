// The frame: navigation, search, theme, whether the server is there; pages come by the router.

import { get, onUnauthorized } from "./api.js";
import { h, s, fill } from "./dom.js";
import { refreshAges } from "./format.js";
import { icon } from "./icons.js";
import { showHelp, startKeys } from "./keys.js";
import { live } from "./live.js";
import { go, start } from "./router.js";
import { announce } from "./say.js";
import { askForToken } from "./sign-in.js";
import { themeButton } from "./theme.js";

const PAGES = [["emails", "/view/", "Emails"], ["traces", "/view/traces", "Traces"], ["latency", "/view/latency", "Latency"], ["compare", "/view/compare", "Compare"], ["metrics", "/view/metrics", "Metrics"], ["logs", "/view/logs", "Logs"], ["runtime", "/view/runtime", "Runtime"], ["health", "/view/health", "Health"]];

const links = new Map(PAGES.map(([name, href, label]) => [name, h("a", { href, on: { click: () => openMenu(false) } }, label)]));
const nav = h("nav", { class: "nav", id: "nav", "aria-label": "Pages" }, [...links.values()]);
const menu = h("button", { type: "button", class: "button quiet square menu-button", "aria-label": "Pages", "aria-expanded": "false", "aria-controls": "nav", on: { click: () => openMenu(!nav.classList.contains("open")) } }, icon("menu"));
const box = h("input", { type: "search", name: "q", placeholder: "Message-ID, run id, trace id or text", "aria-label": "Search emails and traces", autocomplete: "off", spellcheck: "false" });
const search = h("form", { class: "search", role: "search", on: { submit: find } }, icon("search"), box, h("kbd", { "aria-hidden": "true" }, "/"));
const pulse = h("button", { type: "button", class: "pulse", on: { click: () => live.setPaused(!live.paused) } });
const gone = h("div", { class: "banner", role: "alert", hidden: true }, icon("alert"), "The server is gone; trying again every two seconds.");
let signedOut = false;
const main = h("main", { id: "main", tabindex: "-1" });

document.body.prepend(
  h("a", { class: "skip", href: "#main", on: { click: (event) => { event.preventDefault(); main.focus(); } } }, "To the content"),
  h("header", { class: "top" }, menu,
    h("a", { class: "brand", href: "/view/", "aria-label": "otel-autopilot: emails" }, mark(), h("span", null, "otel-autopilot")),
    nav, search, pulse,
    h("button", { type: "button", class: "button quiet square", "aria-label": "Keyboard help", title: "Keyboard (?)", on: { click: showHelp } }, icon("help")),
    themeButton()),
  gone, main);

function mark() {
  const bar = (x, y, width, colour) => s("rect", { x, y, width, height: 4, rx: 2, fill: colour });
  return s("svg", { viewBox: "0 0 32 32", "aria-hidden": "true" }, s("rect", { width: 32, height: 32, rx: 8, fill: "#1d2a44" }), bar(6, 8, 9, "#5b96f7"), bar(11, 14, 12, "#ecb93a"), bar(19, 20, 7, "#35bf98"));
}

function openMenu(open) {
  nav.classList.toggle("open", open);
  menu.setAttribute("aria-expanded", String(open));
}

function drawPulse(event) {
  const [state, text, label] = signedOut ? ["away", "Signed out", "Signed out: a token is needed"] : !live.online ? ["gone", "Offline", "The server is gone"] : live.paused ? ["paused", "Paused", "Paused: nothing on the page changes. Go on"] : ["", "Live", "Live: pages follow what is stored. Pause"];
  pulse.className = `pulse ${state}`;
  pulse.setAttribute("aria-label", label);
  pulse.setAttribute("aria-pressed", String(live.paused));
  pulse.title = label + " (p)";
  fill(pulse, h("i"), h("span", null, text));
  if (event === "changed") {
    void pulse.offsetWidth; // so that the beat starts again
    pulse.classList.add("beat");
  }
  gone.hidden = live.online;
}

/** A trace or run id opens its trace; anything else filters the list. */
async function find(event) {
  event.preventDefault();
  const q = box.value.trim();
  const onEmails = /^\/view\/?$/.test(location.pathname);
  const list = onEmails ? "/view/" : "/view/traces";
  box.blur();
  if (/^[0-9a-f-]{8,36}$/i.test(q)) {
    try {
      const found = await get("traces", { kind: "all", q, limit: 2 });
      if (found.traces.length === 1 && (found.matched === "trace_id" || found.matched === "run_id")) {
        go(`/view/traces/${found.traces[0].trace_id}`);
        return;
      }
    } catch {
      // The list says what is wrong.
    }
  }
  const query = new URLSearchParams(/^\/view(\/|\/traces\/?)?$/.test(location.pathname) ? location.search : "");
  query.delete("q");
  if (q) query.set("q", q);
  go(`${list}${query.size ? `?${query}` : ""}`);
}

box.addEventListener("search", () => {
  if (!box.value && new URLSearchParams(location.search).has("q")) search.requestSubmit();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && nav.classList.contains("open")) {
    openMenu(false);
    menu.focus();
  }
});

function pageChanged(name) {
  for (const [key, link] of links) {
    if (key === name || (name === "trace" && key === "traces")) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  openMenu(false);
  box.value = name === "emails" || name === "traces" ? (new URLSearchParams(location.search).get("q") ?? "") : "";
  announce(document.title);
}

onUnauthorized(async () => {
  signedOut = true;
  drawPulse();
  await askForToken();
  signedOut = false;
  drawPulse();
});
startKeys({ search: () => (box.focus(), box.select()), pause: () => live.setPaused(!live.paused) });
live.subscribe(drawPulse);
drawPulse();
setInterval(() => document.visibilityState === "visible" && refreshAges(), 1000);
live.start();
start(main, pageChanged);
