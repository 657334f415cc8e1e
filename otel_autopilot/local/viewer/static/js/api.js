// Questions to the backend, and what can go wrong with them.

/** The backend's answer to a question that it can't answer (RFC 9457), or what stands for one. */
export class Problem extends Error {
  constructor(status, title, detail) {
    super(detail || title);
    this.status = status;
    this.title = title;
    this.detail = detail;
  }
}

/** No answer came: the server is gone, or the way to it. */
export class Unreachable extends Error {}

/** @type {(() => Promise<void>) | null} */
let signIn = null;
/** @type {Promise<void> | null} */
let signingIn = null;

/** What is asked for a token when the backend wants one. */
export function onUnauthorized(ask) {
  signIn = ask;
}

/**
 * GET `/view/api/<path>`.
 * @param {string} path
 * @param {Record<string, any>} [params] null and "" are left out, arrays repeat
 * @param {AbortSignal} [signal]
 */
export async function get(path, params = {}, signal = undefined) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== null && one !== undefined && one !== "") query.append(name, String(one));
    }
  }
  const address = `/view/api/${path}${query.size ? `?${query}` : ""}`;
  const response = await send(address, { headers: { Accept: "application/json" }, signal });
  if (response.status === 401 && signIn) {
    signingIn ??= signIn().finally(() => (signingIn = null));
    await signingIn;
    signal?.throwIfAborted();
    return get(path, params, signal);
  }
  return read(response);
}

/** Give the viewer's token; the backend answers with a cookie. Throws Problem when it is the wrong one. */
export async function openSession(token) {
  const response = await send("/view/api/session", {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ token }),
  });
  if (!response.ok) await read(response);
}

async function send(address, options) {
  try {
    return await fetch(address, { ...options, credentials: "same-origin", cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Unreachable("the server doesn't answer");
  }
}

async function read(response) {
  let body = null;
  try {
    body = await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    if (response.ok) throw new Problem(response.status, "Unreadable answer", "expected JSON, and something else came");
  }
  if (!response.ok) {
    throw new Problem(response.status, body?.title ?? `Status ${response.status}`, body?.detail ?? response.statusText);
  }
  return body;
}
