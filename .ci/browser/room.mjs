// A browser at the page, and what is watched in every test: errors of the console, the policy, accessibility.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const require = createRequire(import.meta.url);
const AXE = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const ARGUMENTS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
/** Waiting for a state of the page ends here. */
export const BOUND = 20_000;

export const VIEWS = {
  overview: "#/",
  check: "#/check/queue",
  plot: "#/check/level",
  monitoring: "#/monitoring",
  fixes: "#/fixes",
  ledger: "#/ledger",
  approvals: "#/approvals",
  incidents: "#/incidents",
  rules: "#/rules",
  playground: "#/rules/edit?path=rules%2Ffeed.yaml",
};

export function launch() {
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ARGUMENTS });
}

export class Room {
  /** `theme` is `light` or `dark`; `phone` is 360 pixels wide. */
  static async open(browser, engine, { theme = "light", phone = false, token = null, wait = true } = {}) {
    const room = new Room();
    room.engine = engine;
    room.complaints = [];
    // What the page asks for and is refused, where a test provokes it.
    room.expected = [];
    room.context = await browser.newContext({
      colorScheme: theme,
      reducedMotion: "reduce",
      viewport: phone ? { width: 360, height: 740 } : { width: 1280, height: 860 },
    });
    room.page = await room.context.newPage();
    room.page.setDefaultTimeout(BOUND);
    await room.page.addInitScript(() => {
      window.violations = [];
      document.addEventListener("securitypolicyviolation", (event) =>
        window.violations.push(`${event.violatedDirective} ${event.blockedURI}`),
      );
    });
    room.page.on("console", (message) => {
      if (!["error", "warning"].includes(message.type())) return;
      const text = `${message.text()} ${message.location().url}`;
      if (!room.expected.some((pattern) => pattern.test(text))) room.complaints.push(text);
    });
    room.page.on("pageerror", (error) => room.complaints.push(error.stack ?? String(error)));
    room.page.on("request", (request) => {
      const url = request.url();
      if (!url.startsWith(engine.address) && !url.startsWith("data:")) room.complaints.push(`asked elsewhere: ${url}`);
    });
    await room.page.goto(`${engine.address}/${token ? `#token=${token}` : ""}`);
    if (wait) await room.page.locator("main h1").first().waitFor({ state: "attached" });
    return room;
  }

  async go(address) {
    await this.page.evaluate((hash) => (location.hash = hash), address);
    await this.page.locator("main:not([aria-busy]) h1").first().waitFor({ state: "attached" });
  }

  /** Until the text stands somewhere in `where`. */
  async sees(text, where = "main") {
    await this.page.locator(where).filter({ hasText: text }).first().waitFor({ state: "attached" });
  }

  /** Until `condition` (run in the page) holds. */
  async until(condition, argument) {
    await this.page.waitForFunction(condition, argument, { timeout: BOUND });
  }

  press(name, where = "main") {
    return this.page.locator(where).getByRole("button", { name, exact: false }).first().click();
  }

  /** Fills a dialog and sends it. */
  async dialog(values, say) {
    const dialog = this.page.locator("dialog[open]");
    await dialog.waitFor();
    for (const [label, value] of Object.entries(values)) {
      const field = dialog.getByLabel(label, { exact: true });
      if ((await field.evaluate((element) => element.tagName)) === "SELECT") await field.selectOption(value);
      else await field.fill(value);
    }
    await dialog.getByRole("button", { name: say, exact: true }).click();
    await dialog.waitFor({ state: "detached" });
  }

  /** Everything axe-core finds, and whatever makes the page wider than the screen. */
  async axe() {
    await this.page.evaluate(`${AXE};0`);
    const found = await this.page.evaluate(async () => {
      const { violations } = await window.axe.run(document, { resultTypes: ["violations"] });
      return violations.map(
        ({ id, nodes }) =>
          `${id}: ${nodes
            .slice(0, 3)
            .map(
              (node) =>
                `${node.target.join(" ")} (${node.any[0]?.message ?? node.all[0]?.message ?? node.none[0]?.message ?? ""})`,
            )
            .join("; ")}`,
      );
    });
    const [wide, screen] = await this.page.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth]);
    if (wide > screen) found.push(`the page is ${wide} pixels wide on a screen of ${screen}`);
    return found;
  }

  async violations() {
    return this.page.evaluate(() => window.violations);
  }

  async close() {
    const broken = await this.violations().catch(() => []);
    await this.context.close();
    return [...this.complaints, ...broken.map((one) => `policy: ${one}`)];
  }
}

/** A page that is open, and closed after the test; with the owner's token, unless said otherwise. */
export async function enter({ browser, engine, rooms }, options = {}) {
  const room = await Room.open(browser, engine, { token: engine.token, ...options });
  rooms.push(room);
  return room;
}
