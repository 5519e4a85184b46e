// What an operator does, each with its question: silence, acknowledge, approve, undo, pause, confirm, run, investigate.

import assert from "node:assert/strict";
import { enter } from "../room.mjs";

export const acting = [
  [
    "a silence is made, shown, and ended",
    async (hands) => {
      const room = await enter(hands);
      await room.go("#/check/reader");
      await room.press("Silence");
      await room.dialog({ For: "900", Reason: "the reader is being moved" }, "Silence");
      await room.sees("silenced", ".subject .tags");
      await room.go("#/approvals");
      await room.sees("the reader is being moved");
      await room.press("End it");
      await room.sees("Nothing is silenced");
    },
  ],

  [
    "an incident says who was told of it, and so do the notices; a test notice arrives",
    async (hands) => {
      const { engine } = hands;
      const room = await enter(hands);
      await room.go("#/incidents");
      await room.sees("No incident is open");
      engine.write("data/reader.json", { reads: false });
      const incident = room.page.locator(".incident", { hasText: "reader" });
      await incident
        .filter({ hasText: "nobody has taken it" })
        .filter({ hasText: /ops: told (now|\d)/ })
        .waitFor();
      await room.page.locator("#top nav .bubble", { hasText: "1" }).first().waitFor();
      engine.write("data/reader.json", { reads: true });
      await room.sees("No incident is open");
      await room.press("All");
      await incident.first().filter({ hasText: "over" }).waitFor();
      await room.page.locator("table tr", { hasText: "resolved" }).filter({ hasText: "sent" }).first().waitFor();
      await room.press("Send a test");
      await room.sees("arrived", "#notes");
    },
  ],

  [
    "what is wrong is acknowledged, and says who has taken it",
    async (hands) => {
      const { engine } = hands;
      const room = await enter(hands);
      engine.write("data/reader.json", { reads: false });
      const card = room.page.locator(".card", { hasText: "reader" });
      await card.waitFor();
      await card.getByRole("button", { name: "Acknowledge" }).click();
      await room.dialog({ Note: "looking at it" }, "Acknowledge");
      await card.filter({ hasText: "looking at it" }).waitFor();
      await room.go("#/incidents");
      const incident = room.page.locator(".incident", { hasText: "reader" });
      await incident.filter({ hasText: "acknowledged by" }).waitFor();
      await incident.filter({ hasText: "looking at it" }).waitFor();
      engine.write("data/reader.json", { reads: true });
      await room.sees("No incident is open");
    },
  ],

  [
    "a proposal shows what it would do; it is denied, then approved, done, and undone",
    async (hands) => {
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
    },
  ],

  [
    "repairs are paused: everything says so; they are resumed, also of one check alone",
    async (hands) => {
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
    },
  ],

  [
    "a value is confirmed as meant, and forgotten",
    async (hands) => {
      const room = await enter(hands);
      await room.go("#/check/limits");
      await room.press("Confirm as meant");
      await room.dialog({ Reason: "so it was agreed" }, "Confirm");
      await room.sees("so it was agreed", ".brief");
      await room.press("Forget what was confirmed");
      await room.page.locator(".brief", { hasText: "so it was agreed" }).waitFor({ state: "detached" });
    },
  ],

  [
    "a dry run says what would be done, and does nothing",
    async (hands) => {
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
    },
  ],

  [
    "a root-cause session is held and shown",
    async (hands) => {
      const room = await enter(hands);
      await room.go("#/fixes");
      await room.press("Investigate now");
      await room.page.locator(".session", { hasText: "room_rca" }).first().waitFor();
      await room.sees("manual", ".session");
    },
  ],

  [
    "without a token everything is read, and acting asks for one and goes on with it",
    async (hands) => {
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
    },
  ],
];
