// What an operator sees: how everything stands, what happens, one check, thousands of them.

import assert from "node:assert/strict";
import { Engine } from "../engine.mjs";
import { enter } from "../room.mjs";

export const seeing = [
  [
    "all is well, told large, in the title and in the icon",
    async (hands) => {
      const room = await enter(hands);
      await room.sees("All is well");
      await room.until(() => document.title.startsWith("✓ all well"));
      assert.match(await room.page.locator("#icon").getAttribute("href"), /%231a7f47/);
    },
  ],

  [
    "an incident appears without reload, is repaired, and shows its difference and its proof",
    async (hands) => {
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
    },
  ],

  [
    "what is wrong stands first with its message, and is gone when it is over; the title and the icon say so too",
    async (hands) => {
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
    },
  ],

  [
    "a message is text, whatever it holds",
    async (hands) => {
      const { engine } = hands;
      const hostile = '<img src=x onerror="window.bitten=1"><script>window.bitten=1</script>${1+1}';
      const room = await enter(hands);
      engine.write("data/letter.json", { text: hostile });
      await room.sees(hostile);
      await room.go("#/check/letter");
      await room.sees(hostile, ".subject .message");
      await room.sees("onerror", ".tree");
      assert.equal(await room.page.locator("main img, main script").count(), 0);
      assert.equal(await room.page.evaluate(() => window.bitten), undefined);
      engine.write("data/letter.json", { text: "" });
    },
  ],

  [
    "searching and choosing by status narrow the list",
    async (hands) => {
      const room = await enter(hands);
      await room.sees("pulse");
      await room.page.keyboard.press("/");
      await room.page.keyboard.type("puls");
      await room.until(() => document.querySelectorAll(".checks tbody tr").length === 1);
      await room.page.getByRole("button", { name: "Show all" }).click();
      await room.until(() => document.querySelectorAll(".checks tbody tr").length > 20);
      await room.page.getByRole("button", { name: /CRITICAL/ }).click();
      await room.sees("No check is like that");
    },
  ],

  [
    "numbers of SRE monitoring: 0 is 0, what is missing is a dash",
    async (hands) => {
      const room = await enter(hands);
      await room.go("#/monitoring");
      const figure = (name) => room.page.locator(`[data-metric="${name}"] dd`);
      await figure("mock_signal_success_pct").filter({ hasText: /^0%/ }).waitFor();
      assert.match(await figure("mock_signal_success_pct").innerText(), /^0\s*%/);
      assert.equal((await figure("parser_health_index").innerText()).trim(), "100");
      assert.match(await figure("auto_fix_count").innerText(), /^\d+$/);
      assert.equal((await figure("last_mock_signal_score").innerText()).trim(), "–");
      assert.match(await figure("logic_heartbeat").innerText(), /ago|now/);
    },
  ],

  [
    "a check's page explains itself: deciding line, tree, facts, plot with its limits",
    async (hands) => {
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
    },
  ],

  [
    "ten thousand checks: the worst is seen at once, the rest in pages, and any is found",
    async (hands) => {
      const many = new Engine(hands.engine.binary);
      const checks = Array.from(
        { length: 10_000 },
        (_, index) => `  - name: bulk_${String(index).padStart(5, "0")}
    about: One of many.
    probe: { file: { file: data/level.json } }
    threshold: { critical: ${index === 7_777 ? "exists" : "missing"} }
    message: number ${index}
`,
      );
      for (let file = 0; file < 5; file += 1) {
        many.write(
          `rules/bulk_${file}.yaml`,
          `defaults: { trigger: { every: 5m, splay: false }, tags: [bulk] }\nchecks:\n${checks.slice(file * 2_000, (file + 1) * 2_000).join("")}`,
        );
      }
      try {
        await many.start();
        await many.act("/api/check", { names: ["bulk_07777"], fix: false });
        const room = await enter({ ...hands, engine: many });
        // At the end its engine goes first.
        room.expected.push(/ERR_/);
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
    },
  ],
];
