// What the store looks like now: asked every two seconds while somebody is looking.

import { get, Unreachable } from "./api.js";

const EVERY_MS = 2000;

/** @type {any} the last `state` */
let state = null;
let paused = false;
let online = true;
let timer = 0;
/** Resolves when `state` was asked for the first time, answered or not. @type {Promise<void>} */
let first = Promise.resolve();
/** @type {Set<(event: "state" | "changed" | "online" | "paused") => void>} */
const listeners = new Set();

export const live = {
  /** The last answer to `state`; null before the first. */
  get state() { return state; },
  get ready() { return first; },
  get paused() { return paused; },
  get online() { return online; },

  /** Stop or go on; going on catches up at once. */
  setPaused(value) {
    paused = value;
    tell("paused");
    if (!paused) ask();
  },

  /**
   * Call `listener` on "changed" (something was stored), "state", "online" and "paused", until the signal aborts.
   * @param {(event: string) => void} listener
   * @param {AbortSignal} [signal]
   */
  subscribe(listener, signal) {
    listeners.add(listener);
    signal?.addEventListener("abort", () => listeners.delete(listener), { once: true });
  },

  /** Ask now whether the server is there; `online` says so when this resolves. */
  check: () => ask(),

  start() {
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") ask();
    });
    first = ask();
  },
};

function tell(event) {
  for (const listener of [...listeners]) listener(event);
}

async function ask() {
  clearTimeout(timer);
  try {
    const next = await get("state");
    const changed = state !== null && next.version !== state.version;
    const back = !online;
    state = next;
    online = true;
    if (back) tell("online");
    tell("state");
    if ((changed || back) && !paused) tell("changed");
  } catch (error) {
    if (online && error instanceof Unreachable) {
      online = false;
      tell("online");
    }
  }
  clearTimeout(timer);
  if (document.visibilityState === "visible" && !(paused && online)) timer = setTimeout(ask, EVERY_MS);
}
