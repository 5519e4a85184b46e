// What an operator does at the page, told as tests: `[name, async ({ browser, engine, rooms }) => …]`.

import assert from "node:assert/strict";
import { Engine } from "./engine.mjs";
import { Room } from "./room.mjs";

const enter = async ({ browser, engine, rooms }, options = {}) => {
  const room = await Room.open(browser, engine, { token: engine.token, ...options });
  rooms.push(room);
  return room;
};

const title = (room) => room.page.title();

export const tests = [
  ["all is well, told large, in the title and in the icon", async (hands) => {
    const room = await enter(hands);
    await room.sees("All is well");
    await room.until(() => document.title.startsWith("✓ all well"));
    assert.match(await room.page.locator("#icon").getAttribute("href"), /%231a7f47/);
  }],

  ["the token of the address is taken from it at once, and is not in the history", async (hands) => {
    const room = await enter(hands);
    assert.equal(new URL(room.page.url()).hash, "#/");
    assert.equal(await room.page.evaluate(() => sessionStorage.getItem("homeostat.token")), hands.engine.token);
    await room.sees("scope admin", "#foot");
    await room.page.goBack().catch(() => null);
    assert.doesNotMatch(room.page.url(), /token/);
  }],

  ["an incident appears without reload, is repaired, and shows its difference and its proof", async (hands) => {
    const { engine } = hands;
    const room = await enter(hands);
    await room.sees("All is well");
    await room.page.evaluate(() => (window.stays = true));
    engine.write("data/queue.json", { depth: 5, workers: 0 });
    const line = room.page.locator("tr", { has: room.page.getByRole("link", { name: "queue", exact: true }) });
    await line.filter({ hasText: "proven" }).waitFor();
    await line.getByRole("link", { name: "queue", exact: true }).click();
    await room.sees("What proved it");
    const repair = room.page.locator(".repair").first();
    await repair.filter({ hasText: "nobody works" }).waitFor();
    await repair.locator(".diff .removed", { hasText: /"workers": ?0/ }).waitFor();
    await repair.locator(".diff .added", { hasText: /"workers": ?4/ }).waitFor();
    await repair.filter({ hasText: "5 waiting, 4 at work" }).waitFor();
    assert.match(await repair.locator("dd.number").innerText(), /\d+ (ms|s)|\d\.\d s/);
    await room.go("#/fixes");
    await room.sees("nobody works");
    await room.sees("5 waiting, 4 at work seen afterwards");
    await room.go("#/ledger");
    await room.sees("set_json");
    assert.match(await room.page.locator("tr", { hasText: "queue" }).first().innerText(), /100 %/);
    assert.equal(await room.page.evaluate(() => window.stays), true, "nothing was loaded anew");
    engine.write("data/queue.json", { depth: 3, workers: 4 });
  }],

  ["what is wrong stands first with its message, and is gone when it is over; the title and the icon say so too", async (hands) => {
    const { engine } = hands;
    const room = await enter(hands);
    await room.sees("All is well");
    engine.write("data/reader.json", { reads: false });
    const card = room.page.locator(".card", { hasText: "reader" });
    await card.filter({ hasText: "nobody reads" }).waitFor();
    await room.until(() => document.title.startsWith("✕ 1 critical"));
    await room.until(() => document.getElementById("icon").href.includes("%23c02b22"));
    await room.until(() => document.getElementById("told").textContent.includes("reader is CRITICAL"));
    assert.equal(await room.page.locator(".checks tbody th").first().innerText(), "reader");
    engine.write("data/reader.json", { reads: true });
    await room.sees("All is well");
    await card.waitFor({ state: "detached" });
  }],

  ["a message is text, whatever it holds", async (hands) => {
    const { engine } = hands;
    const hostile = "<img src=x onerror=\"window.bitten=1\"><script>window.bitten=1</script>${1+1}";
    const room = await enter(hands);
    engine.write("data/letter.json", { text: hostile });
    await room.sees(hostile);
    await room.go("#/check/letter");
    await room.sees(hostile, ".subject .message");
    await room.sees("onerror", ".tree");
    assert.equal(await room.page.locator("main img, main script").count(), 0);
    assert.equal(await room.page.evaluate(() => window.bitten), undefined);
    engine.write("data/letter.json", { text: "" });
  }],

  ["searching and choosing by status narrow the list", async (hands) => {
    const room = await enter(hands);
    await room.sees("pulse");
    await room.page.keyboard.press("/");
    await room.page.keyboard.type("puls");
    await room.until(() => document.querySelectorAll(".checks tbody tr").length === 1);
    await room.page.getByRole("button", { name: "Show all" }).click();
    await room.until(() => document.querySelectorAll(".checks tbody tr").length > 20);
    await room.page.getByRole("button", { name: /CRITICAL/ }).click();
    await room.sees("No check is like that");
  }],

  ["numbers of SRE monitoring: 0 is 0, what is missing is a dash", async (hands) => {
    const room = await enter(hands);
    await room.go("#/monitoring");
    const figure = (name) => room.page.locator(`[data-metric="${name}"] dd`);
    await figure("mock_signal_success_pct").filter({ hasText: /^0%/ }).waitFor();
    assert.match(await figure("mock_signal_success_pct").innerText(), /^0\s*%/);
    assert.equal((await figure("parser_health_index").innerText()).trim(), "100");
    assert.match(await figure("auto_fix_count").innerText(), /^\d+$/);
    assert.equal((await figure("last_mock_signal_score").innerText()).trim(), "–");
    assert.match(await figure("logic_heartbeat").innerText(), /ago|now/);
  }],

  ["a silence is made, shown, and ended", async (hands) => {
    const room = await enter(hands);
    await room.go("#/check/reader");
    await room.press("Silence");
    await room.dialog({ For: "900", Reason: "the reader is being moved" }, "Silence");
    await room.sees("silenced", ".subject .tags");
    await room.go("#/approvals");
    await room.sees("the reader is being moved");
    await room.press("End it");
    await room.sees("Nothing is silenced");
  }],

  ["what is wrong is acknowledged, and says who has taken it", async (hands) => {
    const { engine } = hands;
    if (!(await has(engine, "/api/incidents"))) return console.log("       this engine keeps no incidents: skipped");
    const room = await enter(hands);
    engine.write("data/reader.json", { reads: false });
    const card = room.page.locator(".card", { hasText: "reader" });
    await card.waitFor();
    await card.getByRole("button", { name: "Acknowledge" }).click();
    await room.dialog({ Note: "looking at it" }, "Acknowledge");
    await card.filter({ hasText: "looking at it" }).waitFor();
    await room.go("#/incidents");
    await room.sees("acknowledged by");
    engine.write("data/reader.json", { reads: true });
    await room.sees("No incident is open");
  }],

  ["a proposal shows what it would do; it is denied, then approved, done, and undone", async (hands) => {
    const { engine } = hands;
    const room = await enter(hands);
    engine.write("data/model.json", '{\n  "version": 6,\n  "weights": [1, 2, 3]\n}\n');
    await room.go("#/approvals");
    const proposal = room.page.locator(".proposal", { hasText: "source" });
    await proposal.locator(".diff .added", { hasText: '"version": 7' }).waitFor();
    const first = /repair \d+/.exec(await proposal.innerText())[0];
    await proposal.getByRole("button", { name: "Deny" }).click();
    await room.dialog({ Reason: "not now" }, "Deny");
    await room.page.getByText(`${first},`).waitFor({ state: "detached" });
    assert.match(engine.read("data/model.json"), /"version": 6/);
    // It is proposed anew at a later look.
    await proposal.getByRole("button", { name: "Approve" }).click();
    await room.page.locator("dialog[open] .diff .added", { hasText: '"version": 7' }).waitFor();
    await room.dialog({}, "Approve");
    await room.sees("Nothing waits for approval");
    await room.go("#/check/source");
    const repair = room.page.locator(".repair", { hasText: "proven" }).first();
    await repair.waitFor();
    assert.match(engine.read("data/model.json"), /"version": 7/);
    await repair.getByRole("button", { name: "Undo" }).click();
    await room.dialog({}, "Undo it");
    await room.sees("undone");
    assert.match(engine.read("data/model.json"), /"version": 6/);
    engine.write("data/model.json", engine.read("rules/defaults/model.json"));
    await room.sees("version 7", ".subject .message");
  }],

  ["repairs are paused: everything says so; they are resumed, also of one check alone", async (hands) => {
    const { engine } = hands;
    const room = await enter(hands);
    await room.go("#/approvals");
    await room.press("Pause all repairs");
    await room.dialog({ Reason: "a deployment" }, "Pause repairs");
    await room.sees("Repairs are paused", "#banners");
    await room.sees("a deployment", "#banners");
    engine.write("data/queue.json", { depth: 5, workers: 0 });
    await room.go("#/check/queue");
    await room.sees("held by pause");
    await room.press("Resume", "#banners");
    await room.sees("5 waiting, 4 at work", ".subject .message");
    await room.page.locator("#banners .banner").waitFor({ state: "detached" });
    await room.press("Pause its repairs");
    await room.dialog({ Reason: "by hand today" }, "Pause repairs");
    await room.sees("repairs paused", ".subject .tags");
    await room.press("Resume its repairs");
    await room.page.locator(".subject .tags", { hasText: "repairs paused" }).waitFor({ state: "detached" });
    engine.write("data/queue.json", { depth: 3, workers: 4 });
  }],

  ["a value is confirmed as meant, and forgotten", async (hands) => {
    const room = await enter(hands);
    await room.go("#/check/limits");
    await room.press("Confirm as meant");
    await room.dialog({ Reason: "so it was agreed" }, "Confirm");
    await room.sees("so it was agreed", ".brief");
    await room.press("Forget what was confirmed");
    await room.page.locator(".brief", { hasText: "so it was agreed" }).waitFor({ state: "detached" });
  }],

  ["a check's page explains itself: deciding line, tree, facts, plot with its limits", async (hands) => {
    const { engine } = hands;
    const room = await enter(hands);
    engine.write("data/level.json", { level: 75 });
    await room.go("#/check/level");
    await room.sees("at 75", ".subject .message");
    await room.sees("warning above 70", ".limit");
    await room.sees("critical above 90", ".limit");
    await room.page.locator(".curve").waitFor({ state: "attached" });
    await room.sees("level", ".tree");
    engine.write("data/level.json", { level: 42 });
    engine.write("data/reader.json", { reads: false });
    await room.go("#/check/reader");
    await room.page.locator(".source .decides mark", { hasText: "!doc.reads" }).waitFor();
    await room.page.locator(".explain .decided", { hasText: "critical" }).first().waitFor();
    const facts = room.page.locator(".panel", { has: room.page.getByRole("heading", { name: "Facts" }) });
    const change = room.page.locator(".events li", { hasText: "nobody reads" }).first();
    await facts.filter({ hasText: "false" }).waitFor();
    engine.write("data/reader.json", { reads: true });
    await room.sees("it is read", ".subject .message");
    await change.getByRole("button", { name: "Facts then" }).click();
    await facts.locator("summary", { hasText: "doc" }).click();
    await facts.locator("li", { hasText: "reads" }).filter({ hasText: "false" }).first().waitFor();
    await facts.getByRole("button", { name: "Of the last look" }).click();
    await facts.locator("li", { hasText: "reads" }).filter({ hasText: "true" }).first().waitFor();
    engine.write("data/reader.json", { reads: true });
  }],

  ["ten thousand checks: the worst is seen at once, the rest in pages, and any is found", async (hands) => {
    const many = new Engine(hands.engine.binary);
    const checks = Array.from({ length: 10_000 }, (_, index) => `  - name: bulk_${String(index).padStart(5, "0")}
    about: One of many.
    probe: { file: { file: data/level.json } }
    threshold: { critical: ${index === 7_777 ? "exists" : "missing"} }
    message: number ${index}
`);
    for (let file = 0; file < 5; file += 1) {
      many.write(`rules/bulk_${file}.yaml`, `defaults: { trigger: { every: 5m, splay: false }, tags: [bulk] }\nchecks:\n${checks.slice(file * 2_000, (file + 1) * 2_000).join("")}`);
    }
    try {
      await many.start();
      await many.act("/api/check", { names: ["bulk_07777"], fix: false });
      const room = await enter({ ...hands, engine: many });
      await room.sees("number 7777", ".card");
      assert.ok((await room.page.locator(".checks tbody tr").count()) <= 200);
      await room.sees("of 10023", ".pages");
      await room.press("Next", ".pages");
      await room.sees("201–400", ".pages");
      await room.page.getByRole("searchbox").fill("bulk_01234");
      await room.until(() => document.querySelectorAll(".checks tbody tr").length === 1);
      await room.sees("bulk_01234", ".checks");
      const took = await room.page.evaluate(async () => {
        const began = performance.now();
        await (await fetch("/api/overview?limit=200")).text();
        return performance.now() - began;
      });
      console.log(`       the overview of 10,000 checks took ${took.toFixed(0)} ms`);
    } finally {
      await many.end();
    }
  }],

  ["a dry run says what would be done, and does nothing", async (hands) => {
    const { engine } = hands;
    const room = await enter(hands);
    await engine.act("/api/pause", { reason: "to look first", by: "ann" });
    engine.write("data/queue.json", { depth: 5, workers: 0 });
    await room.go("#/check/queue");
    await room.sees("nobody works", ".subject .message");
    await room.press("Dry run");
    const dialog = room.page.locator("dialog[open]");
    await dialog.filter({ hasText: /held by pause|would be taken/ }).waitFor();
    await dialog.getByRole("button", { name: "Close" }).click();
    assert.match(engine.read("data/queue.json"), /"workers":0/);
    await engine.act("/api/resume");
    await room.sees("5 waiting, 4 at work", ".subject .message");
    engine.write("data/queue.json", { depth: 3, workers: 4 });
  }],

  ["a root-cause session is held and shown", async (hands) => {
    const room = await enter(hands);
    await room.go("#/fixes");
    await room.press("Investigate now");
    await room.page.locator(".session", { hasText: "room_rca" }).first().waitFor();
    await room.sees("manual", ".session");
  }],

  ["playground: complaints as one types, a live dry run, saved, and live", async (hands) => {
    const { engine } = hands;
    const before = engine.read("rules/feed.yaml");
    const room = await enter(hands);
    await room.go("#/rules");
    await room.page.getByRole("link", { name: "rules/feed.yaml" }).click();
    const area = room.page.getByLabel("The text of the file");
    await area.waitFor();
    await room.sees("it would run");
    await area.fill(before.replace("threshold:\n      warning: doc.text", "thershold:\n      warning: doc.text"));
    await room.page.locator("ol.complaints li", { hasText: "thershold" }).first().waitFor();
    await room.sees("threshold", "ol.complaints .help");
    await room.page.locator(".paper .mark.error").first().waitFor();
    const after = before.replace("workers == 0'", "workers < 9'");
    assert.notEqual(after, before);
    await area.fill(after);
    await room.sees("it would run");
    await room.page.locator(".compare tr", { hasText: "queue" }).filter({ hasText: "CRITICAL" }).waitFor();
    assert.equal(engine.read("rules/feed.yaml"), before, "typing writes nothing");
    await area.fill(before.replace("nobody reads", "nobody reads it at all"));
    await room.sees("it would run");
    const generation = (await engine.ask("/api/rules")).generation;
    await room.press("Save");
    await room.sees("is saved and live", "#notes");
    assert.match(engine.read("rules/feed.yaml"), /nobody reads it at all/);
    assert.notEqual((await engine.ask("/api/rules")).generation, generation);
    // Somebody else writes meanwhile: nothing is lost unseen.
    await area.fill(before.replace("it is read", "it is being read"));
    engine.write("rules/feed.yaml", `${before}# by somebody else\n`);
    room.expected.push(/409/);
    await room.press("Save");
    await room.page.locator("dialog[open]", { hasText: "Somebody else" }).waitFor();
    await room.dialog({ "What to keep": "theirs" }, "Go on");
    await room.until(() => document.getElementById("editor").value.includes("# by somebody else"));
    engine.write("rules/feed.yaml", before);
    // Not before that is live again: the next test would see the old ones.
    await room.go("#/check/reader");
    await room.page.locator(".source", { hasText: "critical: nobody reads" }).waitFor();
  }],

  ["rules that are refused are told everywhere, with the place; the last good ones go on", async (hands) => {
    const { engine } = hands;
    const before = engine.read("rules/model.yaml");
    const room = await enter(hands);
    engine.write("rules/model.yaml", before.replace("threshold:", "thershold:"));
    await room.sees("The rules on disk are refused", "#banners");
    await room.sees("thershold", "#banners");
    await room.go("#/rules");
    await room.sees("model.yaml");
    engine.write("rules/model.yaml", before);
    await room.page.locator("#banners .banner").waitFor({ state: "detached" });
  }],

  ["without a token everything is read, and acting asks for one and goes on with it", async (hands) => {
    const room = await enter(hands, { token: null });
    room.expected.push(/status of 401/);
    await room.go("#/check/reader");
    await room.press("Silence");
    const first = room.page.locator("dialog[open]", { hasText: "Silence reader" });
    await first.getByLabel("Reason").fill("by a guest");
    await first.getByRole("button", { name: "Silence", exact: true }).click();
    const second = room.page.locator("dialog[open]", { hasText: "A token" });
    await second.getByText("homeostat token").waitFor();
    await second.getByLabel("Token").fill("wrong");
    await second.getByRole("button", { name: "Use it" }).click();
    await second.getByText("does not know this token").waitFor();
    await second.getByLabel("Token").fill(hands.engine.token);
    await second.getByRole("button", { name: "Use it" }).click();
    await room.sees("silenced", ".subject .tags");
    await room.go("#/approvals");
    await room.press("End it");
    await room.sees("Nothing is silenced");
  }],

  ["where reading needs a token too, it is asked for, and everything comes then", async (hands) => {
    const guarded = new Engine(hands.engine.binary);
    guarded.write("homeostat.yaml", "listen: 127.0.0.1:0\napi: { reading: token }\n");
    try {
      await guarded.start();
      const room = await Room.open(hands.browser, guarded, { wait: false });
      hands.rooms.push(room);
      room.expected.push(/status of 401/);
      const dialog = room.page.locator("dialog[open]", { hasText: "A token" });
      await dialog.getByLabel("Token").fill(guarded.token);
      await room.sees("wants a token", "#alarm");
      assert.equal(await room.page.locator("main .checks").count(), 0);
      await dialog.getByRole("button", { name: "Use it" }).click();
      await room.sees("All is well");
      await room.page.locator("#alarm .banner").waitFor({ state: "detached" });
    } finally {
      await guarded.end();
    }
  }],

  ["an engine that stands still is told within ten seconds, and nothing looks well meanwhile", async (hands) => {
    const { engine } = hands;
    const room = await enter(hands);
    room.expected.push(/ERR_/);
    await room.sees("All is well");
    engine.freeze();
    const began = performance.now();
    try {
      await room.page.locator("#alarm .banner.lost").waitFor({ timeout: 15_000 });
      const took = performance.now() - began;
      assert.ok(took < 10_500, `told after ${took} ms`);
      await room.sees("What you see is old", "#alarm");
      assert.match(await title(room), /no word/);
      assert.match(await room.page.locator("#icon").getAttribute("href"), /%236b7178/);
      assert.match(await room.page.locator("main").evaluate((main) => getComputedStyle(main).filter), /grayscale/);
      assert.equal(await room.page.locator("#top .status.ok").count(), 0);
    } finally {
      engine.thaw();
    }
    await room.page.locator("#alarm .banner.lost").waitFor({ state: "detached" });
    await room.until(() => document.title.startsWith("✓ all well"));
  }],

  ["an engine that is gone is told at once; one that comes back is heard again", async (hands) => {
    const { engine } = hands;
    const room = await enter(hands);
    room.expected.push(/ERR_/);
    await room.sees("All is well");
    await engine.stop();
    await room.page.locator("#alarm .banner.lost").waitFor({ timeout: 10_000 });
    await engine.start();
    await room.page.locator("#alarm .banner.lost").waitFor({ state: "detached" });
    await room.sees("All is well");
    await room.until(() => document.title.startsWith("✓ all well"));
  }],

  ["by keys alone: skip link, a check, a dialog and back, shortcuts that can be turned off", async (hands) => {
    const room = await enter(hands);
    const { page } = room;
    await room.sees("pulse");
    await page.keyboard.press("Tab");
    assert.equal(await focused(page), "Skip to the content");
    await page.keyboard.press("Enter");
    assert.equal(await page.evaluate(() => document.activeElement.id), "content");
    await page.keyboard.press("j");
    const name = await focused(page);
    await page.keyboard.press("j");
    assert.notEqual(await focused(page), name);
    await page.keyboard.press("k");
    assert.equal(await focused(page), name);
    await page.keyboard.press("Enter");
    await room.sees(name, ".subject h1");
    const silence = page.getByRole("button", { name: "Silence" }).first();
    await silence.focus();
    await page.keyboard.press("Enter");
    await page.locator("dialog[open]").waitFor();
    assert.equal(await page.evaluate(() => document.activeElement.closest("dialog") !== null), true, "the focus is in the dialog");
    await page.keyboard.type("g");
    await page.keyboard.type("l");
    assert.doesNotMatch(page.url(), /ledger/, "no shortcut in a dialog");
    await page.keyboard.press("Escape");
    await page.locator("dialog[open]").waitFor({ state: "detached" });
    assert.equal(await focused(page), "Silence…", "the focus is back where it was");
    await page.keyboard.press("g");
    await page.keyboard.press("l");
    await room.sees("Ledger", "h1");
    await page.keyboard.press("?");
    const help = page.locator("dialog[open]", { hasText: "Keys" });
    await help.getByLabel(/single letter/).uncheck();
    await help.getByRole("button", { name: "Keep" }).click();
    await help.waitFor({ state: "detached" });
    await page.keyboard.press("g");
    await page.keyboard.press("o");
    await page.keyboard.press("?");
    assert.equal(await page.locator("dialog[open]").count(), 0);
    assert.match(page.url(), /ledger/);
  }],

  ["the theme is a choice that stays", async (hands) => {
    const room = await enter(hands, { theme: "light" });
    const colour = () => room.page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const light = await colour();
    await room.page.getByRole("button", { name: /theme/ }).click();
    await room.page.getByRole("button", { name: /theme/ }).click();
    assert.equal(await room.page.evaluate(() => document.documentElement.dataset.theme), "dark");
    assert.notEqual(await colour(), light);
    await room.page.reload();
    await room.sees("pulse");
    assert.equal(await room.page.evaluate(() => document.documentElement.dataset.theme), "dark");
  }],
];

function focused(page) {
  return page.evaluate(() => document.activeElement.textContent.trim());
}

async function has(engine, path) {
  return engine.ask(path).then(() => true, () => false);
}
