// A running engine over a scratch root of its own: `root/` copied, so that tests may break it.

import { spawn } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const FIXTURE = join(dirname(fileURLToPath(import.meta.url)), "root");
const START = 30_000;
// What tests break.
const FILES = [
  "data/letter.json",
  "data/level.json",
  "data/model.json",
  "data/queue.json",
  "data/reader.json",
  "rules/feed.yaml",
  "rules/model.yaml",
];

export class Engine {
  constructor(binary) {
    this.binary = binary;
    this.root = mkdtempSync(join(tmpdir(), "homeostat-browser-"));
    cpSync(FIXTURE, this.root, { recursive: true });
    for (const name of ["state", "logs"]) mkdirSync(join(this.root, name), { recursive: true });
    this.listen = "127.0.0.1:0";
    this.log = "";
  }

  /** Starts it and waits until it says where it listens. */
  async start() {
    const child = spawn(this.binary, ["run", "--root", this.root, "--listen", this.listen, "--json"], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.child = child;
    this.ended = new Promise((resolve) => child.once("exit", resolve));
    child.stderr.on("data", (text) => (this.log += text));
    const ready = new Promise((resolve, reject) => {
      let rest = "";
      child.stdout.on("data", (text) => {
        this.log += text;
        const lines = (rest + text).split("\n");
        rest = lines.pop();
        for (const line of lines) {
          const news = read(line);
          if (news?.news === "ready") resolve(news);
        }
      });
      child.once("exit", (code) => reject(new Error(`the engine ended with ${code}:\n${this.log}`)));
      setTimeout(() => reject(new Error(`the engine is not ready:\n${this.log}`)), START).unref();
    });
    const { listen } = await ready;
    this.address = listen;
    this.listen = listen.replace("http://", "");
    this.token = readFileSync(join(this.root, "state/homeostat/token"), "utf8").trim();
  }

  /** The engine stands still, as on a machine that swaps. */
  freeze() {
    this.child.kill("SIGSTOP");
  }

  thaw() {
    this.child.kill("SIGCONT");
  }

  async stop() {
    if (!this.child || this.child.exitCode !== null) return;
    this.child.kill("SIGCONT");
    this.child.kill("SIGTERM");
    const late = setTimeout(() => this.child.kill("SIGKILL"), 15_000);
    await this.ended;
    clearTimeout(late);
  }

  async end() {
    await this.stop();
    rmSync(this.root, { recursive: true, force: true });
  }

  /** Everything as it was: a test that failed half-way shall not make the next one fail. */
  async restore() {
    for (const path of FILES) this.write(path, readFileSync(join(FIXTURE, path), "utf8"));
    const { silences } = await this.ask("/api/status");
    for (const { id } of silences) await this.act("/api/unsilence", { id });
    const { still_paused: paused = [] } = await this.act("/api/resume");
    if (paused.length) await this.act("/api/resume", { checks: paused });
  }

  write(path, value) {
    // Whole or not at all, as whoever reads it may do so at any time.
    const made = join(this.root, "state", "made-by-a-test");
    writeFileSync(made, typeof value === "string" ? value : `${JSON.stringify(value)}\n`);
    renameSync(made, join(this.root, path));
  }

  read(path) {
    return readFileSync(join(this.root, path), "utf8");
  }

  async ask(path) {
    const answer = await fetch(`${this.address}${path}`, { headers: { Authorization: `Bearer ${this.token}` } });
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  }

  async act(path, body = {}) {
    const answer = await fetch(`${this.address}${path}`, {
      method: "POST",
      headers: { Authorization: `Bearer ${this.token}`, "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  }
}

function read(line) {
  try {
    return JSON.parse(line);
  } catch {
    return null;
  }
}
