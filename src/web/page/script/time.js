// Instants and spans as people read them. All of it by the engine's clock: that of the browser may be another.

import { h } from "./dom.js";

let offset = 0;

/** What the engine says the time is, in epoch seconds. */
export function heard(now) {
  if (Number.isFinite(now)) offset = now - Date.now() / 1000;
}

export function now() {
  return Date.now() / 1000 + offset;
}

/** Epoch seconds, whichever of seconds, milliseconds and ISO 8601 was given; `null` for none. */
export function seconds(value) {
  if (value === null || value === undefined || value === "") return null;
  const number = typeof value === "string" && !/^[\d.]+$/.test(value) ? Date.parse(value) : Number(value);
  if (!Number.isFinite(number)) return null;
  return Math.abs(number) >= 1e11 ? number / 1000 : number;
}

/** `0.2 s`, `45 s`, `12 min`, `3 h 20 min`, `5 d 2 h`. */
export function span(length) {
  if (!Number.isFinite(length)) return "–";
  const all = Math.max(0, length);
  if (all < 0.9995) return `${Math.round(all * 1000)} ms`;
  if (all < 10) return `${all.toFixed(1)} s`;
  if (all < 119.5) return `${Math.round(all)} s`;
  const minutes = Math.floor(all / 60);
  if (minutes < 120) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  const days = Math.floor(hours / 24);
  return hours % 24 && days < 14 ? `${days} d ${hours % 24} h` : `${days} d`;
}

/** Like `span`, but calm: whole seconds. */
function whole(length) {
  return length < 10 ? `${Math.max(0, Math.floor(length))} s` : span(length);
}

export function exact(at) {
  const date = new Date(at * 1000);
  const two = (number) => String(number).padStart(2, "0");
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

export function clock(at, length = 0) {
  const text = exact(at);
  return length > 86_400 ? text.slice(5, 16) : text.slice(11);
}

function relative(at, form) {
  const gone = now() - at;
  if (form === "since") return whole(Math.max(0, gone));
  if (gone < 0) return gone > -1 ? "now" : `in ${whole(-gone)}`;
  return gone < 1 ? "now" : `${whole(gone)} ago`;
}

function tell(node) {
  const text = relative(Number(node.dataset.at), node.dataset.form);
  if (node.textContent !== text) node.textContent = text;
}

/** An instant told from now, which goes on by itself: `12 min ago`, `in 5 min`; with the form `since`: `12 min`. */
export function ago(value, form = "ago") {
  const at = seconds(value);
  if (at === null) return h("span", { class: "none" }, "–");
  return h("time", {
    datetime: new Date(at * 1000).toISOString(),
    title: exact(at),
    "data-at": at,
    "data-form": form,
    fill: tell,
  });
}

/** Keeps all of them going. */
export function tick() {
  for (const node of document.querySelectorAll("time[data-at]")) tell(node);
}
