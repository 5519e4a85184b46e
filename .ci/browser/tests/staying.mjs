// What holds all the while: the token, the connection that is lost, keys alone, the theme.

import assert from "node:assert/strict";
import { chmodSync } from "node:fs";
import { Engine } from "../engine.mjs";
import { Room, enter } from "../room.mjs";

export const staying = [
  [
    "the token of the address is taken from it at once, and is not in the history",
    async (hands) => {
      const room = await enter(hands);
      assert.equal(new URL(room.page.url()).hash, "#/");
      assert.equal(await room.page.evaluate(() => sessionStorage.getItem("homeostat.token")), hands.engine.token);
      await room.sees("scope admin", "#foot");
      await room.page.goBack().catch(() => null);
      assert.doesNotMatch(room.page.url(), /token/);
    },
  ],

  [
    "where reading needs a token too, it is asked for, and everything comes then",
    async (hands) => {
      const guarded = new Engine(hands.engine.binary);
      guarded.write(
        "homeostat.yaml",
        `${guarded.read("homeostat.yaml")}api:
  reading: token
  tokens: [ { name: viewer, scope: read, file: '${guarded.root}/viewer.token' } ]
`,
      );
      const viewer = "a-token-that-only-reads-0123456789abcdef";
      guarded.write("viewer.token", viewer);
      chmodSync(`${guarded.root}/viewer.token`, 0o600);
      try {
        await guarded.start();
        const room = await Room.open(hands.browser, guarded, { wait: false });
        hands.rooms.push(room);
        // At the end its engine goes first; while it stops it answers 503.
        room.expected.push(/status of (401|503)|ERR_/);
        const dialog = room.page.locator("dialog[open]", { hasText: "A token" });
        await dialog.getByLabel("Token").fill(guarded.token);
        await room.sees("wants a token", "#alarm");
        assert.equal(await room.page.locator("main .checks").count(), 0);
        await dialog.getByRole("button", { name: "Use it" }).click();
        await room.sees("All is well");
        await room.page.locator("#alarm .banner").waitFor({ state: "detached" });
        const other = await enter({ ...hands, engine: guarded }, { token: viewer });
        other.expected.push(/status of (403|503)|ERR_/);
        await other.sees("viewer, scope read", "#foot");
        await other.go("#/check/reader");
        await other.press("Silence");
        const silence = other.page.locator("dialog[open]", { hasText: "Silence reader" });
        await silence.getByLabel("Reason").fill("by a viewer");
        await silence.getByRole("button", { name: "Silence", exact: true }).click();
        await other.page.getByText("The present token is not enough").waitFor();
        await other.page.keyboard.press("Escape");
        await silence.getByText(/scope/).waitFor();
      } finally {
        await guarded.end();
      }
    },
  ],

  [
    "an engine that stands still is told within ten seconds, and nothing looks well meanwhile",
    async (hands) => {
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
        assert.match(await room.page.title(), /no word/);
        assert.match(await room.page.locator("#icon").getAttribute("href"), /%236b7178/);
        assert.match(await room.page.locator("main").evaluate((main) => getComputedStyle(main).filter), /grayscale/);
        assert.equal(await room.page.locator("#top .status.ok").count(), 0);
      } finally {
        engine.thaw();
      }
      await room.page.locator("#alarm .banner.lost").waitFor({ state: "detached" });
      await room.until(() => document.title.startsWith("✓ all well"));
    },
  ],

  [
    "an engine that is gone is told at once; one that comes back is heard again",
    async (hands) => {
      const { engine } = hands;
      const room = await enter(hands);
      room.expected.push(/status of 503|ERR_/);
      await room.sees("All is well");
      await engine.stop();
      await room.page.locator("#alarm .banner.lost").waitFor({ timeout: 10_000 });
      await engine.start();
      await room.page.locator("#alarm .banner.lost").waitFor({ state: "detached" });
      await room.sees("All is well");
      await room.until(() => document.title.startsWith("✓ all well"));
    },
  ],

  [
    "by keys alone: skip link, a check, a dialog and back, shortcuts that can be turned off",
    async (hands) => {
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
      assert.equal(
        await page.evaluate(() => document.activeElement.closest("dialog") !== null),
        true,
        "the focus is in the dialog",
      );
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
    },
  ],

  [
    "the theme is a choice that stays",
    async (hands) => {
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
    },
  ],
];

function focused(page) {
  return page.evaluate(() => document.activeElement.textContent.trim());
}
