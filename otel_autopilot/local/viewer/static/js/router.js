// Addresses to pages. All state of a page is in its address: links are permanent and "back" goes back.

import { Unreachable } from "./api.js";
import { h, fill } from "./dom.js";
import { live } from "./live.js";
import { problemNote } from "./states.js";

/**
 * A page: what a module of `pages/` gives back from `create`.
 * @typedef {{element: HTMLElement, update?: (query: URLSearchParams) => void, keys?: Record<string, (event: KeyboardEvent) => void>, help?: [string, string][], title?: string}} Page
 * @typedef {{params: Record<string, string>, query: URLSearchParams, signal: AbortSignal, setQuery: typeof setQuery, setTitle: (title: string) => void, memory: Record<string, any>}} Context
 */

const ROUTES = [
  { name: "emails", path: /^\/view\/?$/, title: "Emails", load: () => import("./pages/traces.js"), fixed: { kind: "emails" } },
  { name: "traces", path: /^\/view\/traces\/?$/, title: "Traces", load: () => import("./pages/traces.js"), fixed: { kind: "all" } },
  { name: "trace", path: /^\/view\/traces\/(?<id>[0-9a-fA-F]{1,32})\/?$/, title: "Trace", load: () => import("./pages/trace.js") },
  { name: "compare", path: /^\/view\/compare\/?$/, title: "Compare", load: () => import("./pages/compare.js") },
  { name: "latency", path: /^\/view\/latency\/?$/, title: "Latency", load: () => import("./pages/latency.js") },
  { name: "metrics", path: /^\/view\/metrics\/?$/, title: "Metrics", load: () => import("./pages/metrics.js") },
  { name: "logs", path: /^\/view\/logs\/?$/, title: "Logs", load: () => import("./pages/logs.js") },
  { name: "runtime", path: /^\/view\/runtime\/?$/, title: "Runtime", load: () => import("./pages/runtime.js") },
  { name: "health", path: /^\/view\/health\/?$/, title: "Telemetry health", load: () => import("./pages/health.js") },
];

/** @type {{key: string, page: Page, abort: AbortController, memory: Record<string, any>} | null} */
let current = null;
/** Of the page whose code is still to come. @type {AbortController | null} */
let pending = null;
let outlet = null;
let onChange = () => {};
/** What pages want to find again when the reader comes back, by the history entry. */
const memories = new Map();

/** The page that is shown; null while the first one loads. */
export const currentPage = () => current?.page ?? null;

/**
 * Show the page of the address, and follow links and the history from now on.
 * @param {HTMLElement} element where pages go
 * @param {(name: string) => void} changed told the route's name
 */
export function start(element, changed) {
  outlet = element;
  onChange = changed;
  history.scrollRestoration = "manual";
  addEventListener("popstate", () => show(false));
  document.addEventListener("click", (event) => {
    const link = event.target instanceof Element ? event.target.closest("a[href^='/view'], a[href^='?']") : null;
    if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    if (link.target || link.hasAttribute("download")) return;
    event.preventDefault();
    go(link.getAttribute("href"));
  });
  return show(true);
}

/** Go to an address of the viewer. */
export function go(address, { replace = false } = {}) {
  remember();
  const url = new URL(address, location.href);
  if (replace) history.replaceState({ entry: history.state?.entry ?? entryId() }, "", url);
  else history.pushState({ entry: entryId() }, "", url);
  return show(false, !replace);
}

/**
 * Change parameters of the page that is shown.
 * @param {Record<string, string | number | null | undefined | string[]>} changes null and "" take a parameter away
 * @param {{push?: boolean, quiet?: boolean}} [how] `push` makes a history entry; `quiet` doesn't tell the page
 */
export function setQuery(changes, { push = false, quiet = false } = {}) {
  const url = new URL(location.href);
  for (const [name, value] of Object.entries(changes)) {
    url.searchParams.delete(name);
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== null && one !== undefined && one !== "") url.searchParams.append(name, String(one));
    }
  }
  if (url.href === location.href) return;
  if (push) {
    remember();
    history.pushState({ entry: entryId() }, "", url);
  } else history.replaceState(history.state, "", url);
  if (!quiet) current?.page.update?.(url.searchParams);
}

let entries = Date.now();
const entryId = () => String(entries++);

function remember() {
  if (current) current.memory.scroll = scrollY;
}

async function show(first, byLink = false) {
  if (!history.state?.entry) history.replaceState({ entry: entryId() }, "");
  const url = new URL(location.href);
  const route = ROUTES.find((one) => one.path.test(url.pathname));
  const key = route ? route.name + url.pathname : "";
  if (route && current?.key === key) {
    current.page.update?.(url.searchParams);
    return;
  }
  current?.abort.abort();
  pending?.abort();
  const abort = new AbortController();
  const entry = history.state.entry;
  const memory = memories.get(entry) ?? {};
  memories.set(entry, memory);
  if (!route) {
    current = pending = null;
    document.title = "Not found · otel-autopilot";
    fill(outlet, h("div", { class: "page narrow" }, h("h1", null, "No such page"), h("p", null, "The viewer has no page at ", h("code", null, url.pathname), "."), h("p", null, h("a", { href: "/view/" }, "All emails"))));
    onChange("");
    return;
  }
  current = null;
  pending = abort;
  let module;
  try {
    module = await route.load();
  } catch {
    if (abort.signal.aborted) return;
    document.title = `${route.title} · otel-autopilot`;
    onChange(route.name);
    await withoutCode(abort.signal);
    return;
  }
  if (abort.signal.aborted || history.state?.entry !== entry) return;
  pending = null;
  const setTitle = (title) => (document.title = `${title} · otel-autopilot`);
  setTitle(route.title);
  const page = module.create({
    params: { ...route.path.exec(url.pathname).groups, ...route.fixed }, query: url.searchParams, signal: abort.signal, setQuery, setTitle, memory,
  });
  current = { key, page, abort, memory };
  fill(outlet, page.element);
  onChange(route.name);
  scrollTo(0, byLink ? 0 : (memory.scroll ?? 0));
  if (!first) outlet.querySelector("h1")?.focus({ preventScroll: true });
}

/** A page's code didn't come: with the server away, wait for it; else the reader may try. */
async function withoutCode(signal) {
  await live.check();
  if (signal.aborted) return;
  const away = !live.online;
  // A browser may keep to its failure to load a module for as long as the document lives: only a new one asks again.
  const again = () => location.reload();
  fill(outlet, h("div", { class: "page" }, problemNote(away ? new Unreachable() : new Error("this page's code could not be loaded"), again)));
  if (away) live.subscribe(() => live.online && again(), signal);
}
