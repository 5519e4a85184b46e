// The rules and their playground.

import assert from "node:assert/strict";
import { enter } from "../room.mjs";

export const writing = [
  [
    "playground: complaints as one types, a live dry run, saved, and live",
    async (hands) => {
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
    },
  ],

  [
    "rules that are refused are told everywhere, with the place; the last good ones go on",
    async (hands) => {
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
    },
  ],
];
