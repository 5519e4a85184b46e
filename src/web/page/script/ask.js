// Asking the engine: reading, acting, and the token that acting needs.
//
// The token lives in the session storage of this tab and goes to this address only. One in the address (`#token=…`) is
// taken from it at once, so that it stays in no history and on no screen.

const KEPT = "homeostat.token";

/** The engine's no, in its own words. */
export class Refused extends Error {
  constructor(status, body) {
    super(body?.error ?? `the engine answered ${status}`);
    this.status = status;
    this.body = body ?? {};
  }
}

/** Nothing answered at all. */
export class Unreachable extends Error {
  constructor() {
    super("the engine does not answer");
    this.status = 0;
  }
}

let needed = async () => false;

/** `handler(refused)` is asked for a token when one is missing, wrong or too small; it answers whether there is another. */
export function onNeed(handler) {
  needed = handler;
}

export function token() {
  try {
    return sessionStorage.getItem(KEPT);
  } catch {
    return null;
  }
}

export function keepToken(value) {
  try {
    if (value) sessionStorage.setItem(KEPT, value);
    else sessionStorage.removeItem(KEPT);
  } catch {
    // Without storage it holds for nothing; the dialog comes again.
  }
}

export function takeTokenFromAddress() {
  const found = /^#token=([^&]+)/.exec(location.hash);
  if (!found) return;
  let value = found[1];
  try {
    value = decodeURIComponent(value);
  } catch {
    // As it is, then.
  }
  keepToken(value);
  history.replaceState(null, "", `${location.pathname}#/`);
}

export function headers(more = {}) {
  const value = token();
  return value ? { ...more, Authorization: `Bearer ${value}` } : more;
}

async function once(method, path, body, signal) {
  const options = {
    method,
    headers: headers({ Accept: "application/json" }),
    signal,
    cache: "no-store",
    redirect: "error",
  };
  if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers["Content-Type"] = "application/json";
  }
  let answer;
  try {
    answer = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Unreachable();
  }
  const text = await answer.text();
  let value = null;
  try {
    value = text === "" ? null : JSON.parse(text);
  } catch {
    value = { error: text.slice(0, 300) };
  }
  if (!answer.ok) throw new Refused(answer.status, value);
  return value;
}

async function persistent(method, path, body, signal) {
  for (;;) {
    try {
      return await once(method, path, body, signal);
    } catch (error) {
      const lacking = error.status === 401 || (error.status === 403 && /scope/.test(error.message));
      if (!lacking || !(await needed(error))) throw error;
    }
  }
}

/** Reads. Numbers and texts of `query` go into the address; absent ones do not. */
export function get(path, query = {}, signal = undefined) {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && value !== undefined && value !== "") search.set(name, value);
  }
  const text = search.toString();
  return persistent("GET", text ? `${path}?${text}` : path, undefined, signal);
}

/** Reads what another version of the engine may not have: `null` then. */
export async function maybe(path, query, signal) {
  try {
    return await get(path, query, signal);
  } catch (error) {
    if (error.status === 404) return null;
    throw error;
  }
}

/** Reads without asking for a token when one is missing. */
export function peek(path) {
  return once("GET", path);
}

export function post(path, body = {}, signal = undefined) {
  return persistent("POST", path, body, signal);
}

/** Acts without asking for a token: for what is done unasked, as one types. */
export function postQuietly(path, body, signal) {
  return once("POST", path, body, signal);
}

export function put(path, body) {
  return persistent("PUT", path, body);
}

/** A part of a path or of an address of the page. */
export const part = encodeURIComponent;
