// What the engine tells by itself, and whether it still tells anything.
//
// Read with `fetch`, not `EventSource`: only so a token can be sent. The engine gives a beat every five seconds; nine seconds
// without a byte and the connection counts as lost, whatever the browser thinks of it. A tab that nobody sees gives its
// connection back after a while (a browser has six for an address) and asks now and then instead.

import { headers, peek } from "./ask.js";

const SILENCE = 9_000;
const HIDDEN = 30_000;
const ASKING = 8_000;
const STEPS = [500, 1_000, 2_000, 4_000, 8_000];

export class Stream {
  /** `onEvent(kind, data)`; `onState({ lost, word, locked })` with `word` the browser's milliseconds of the last word. */
  constructor(onEvent, onState) {
    this.onEvent = onEvent;
    this.onState = onState;
    this.word = Date.now();
    this.lost = false;
    this.locked = false;
    this.last = null;
    this.failures = 0;
    this.resting = false;
    this.run = 0;
    this.abort = null;
    this.timer = null;
  }

  start() {
    setInterval(() => this.watch(), 1_000);
    document.addEventListener("visibilitychange", () => this.seen());
    this.open();
  }

  /** Anew, as with another token. */
  restart() {
    this.abort?.abort();
    clearTimeout(this.timer);
    this.failures = 0;
    this.open();
  }

  seen() {
    clearTimeout(this.hiding);
    if (document.visibilityState === "hidden") {
      this.hiding = setTimeout(() => this.rest(), HIDDEN);
    } else if (this.resting) {
      this.resting = false;
      this.word = Date.now();
      this.restart();
    }
  }

  rest() {
    this.resting = true;
    this.abort?.abort();
    clearTimeout(this.timer);
    this.ask();
  }

  async ask() {
    if (!this.resting) return;
    try {
      this.onEvent("glance", await peek("/api/overview?limit=1"));
      this.alive();
    } catch {
      this.state(true);
    }
    this.timer = setTimeout(() => this.ask(), ASKING);
  }

  async open() {
    this.run += 1;
    const run = this.run;
    const abort = new AbortController();
    this.abort = abort;
    // An engine that stands still takes connections all the same.
    const limit = setTimeout(() => abort.abort(), SILENCE);
    try {
      const known = this.last === null ? {} : { "Last-Event-ID": this.last };
      const answer = await fetch("/api/stream", {
        headers: headers({ Accept: "text/event-stream", ...known }),
        cache: "no-store",
        redirect: "error",
        signal: abort.signal,
      });
      if (!answer.ok) {
        this.locked = answer.status === 401;
        throw new Error(`the engine answered ${answer.status}`);
      }
      clearTimeout(limit);
      this.locked = false;
      this.alive();
      await this.read(answer.body.pipeThrough(new TextDecoderStream()).getReader(), run);
    } catch {
      // Whatever it was: once more, below.
    }
    clearTimeout(limit);
    if (run !== this.run || this.resting) return;
    this.failures += 1;
    // One that only ended may be an engine that starts anew: the second failure in a row is loud.
    if (this.failures > 1 || this.locked) this.state(true);
    const wait = STEPS[Math.min(this.failures - 1, STEPS.length - 1)];
    this.timer = setTimeout(() => this.open(), wait);
  }

  async read(reader, run) {
    let rest = "";
    let event = { kind: "message", data: [], id: null };
    for (;;) {
      const { value, done } = await reader.read();
      if (done || run !== this.run) return;
      this.failures = 0;
      this.alive();
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      for (const raw of lines) {
        const line = raw.endsWith("\r") ? raw.slice(0, -1) : raw;
        if (line === "") {
          this.deliver(event);
          event = { kind: "message", data: [], id: null };
          continue;
        }
        const colon = line.indexOf(":");
        const field = colon < 0 ? line : line.slice(0, colon);
        const text = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
        if (field === "event") event.kind = text;
        else if (field === "data") event.data.push(text);
        else if (field === "id") event.id = text;
      }
    }
  }

  deliver({ kind, data, id }) {
    if (id !== null) this.last = id;
    if (data.length === 0) return;
    let value;
    try {
      value = JSON.parse(data.join("\n"));
    } catch {
      return;
    }
    this.onEvent(kind, value);
  }

  alive() {
    this.word = Date.now();
    this.state(false);
  }

  watch() {
    if (this.resting || Date.now() - this.word <= SILENCE) return;
    if (!this.lost) this.abort?.abort();
    this.state(true);
  }

  state(lost) {
    if (this.lost === lost && !lost) return;
    this.lost = lost;
    this.onState({ lost, word: this.word, locked: this.locked });
  }
}
