// Every view, in light and dark and on a telephone: axe-core finds nothing, nothing is wider than the screen; pictures of all.

import { join } from "node:path";
import { Room, VIEWS } from "./room.mjs";

export async function walk({ browser, engine, rooms, shots }) {
  // Something of everything to see: a repair and its difference, a proposal, a silence, something wrong.
  engine.write("data/model.json", { version: 6, weights: [] });
  engine.write("data/level.json", { level: 95 });
  engine.write("data/reader.json", { reads: false });
  await engine.act("/api/silence", { checks: ["letter"], for_s: 900, reason: "being moved", by: "ann" });
  await engine.act("/api/investigate", { name: "room_rca", wait_s: 5 });
  const found = [];
  for (const look of [
    { theme: "light" },
    { theme: "dark" },
    { theme: "light", phone: true },
    { theme: "dark", phone: true },
  ]) {
    const room = await Room.open(browser, engine, { ...look, token: engine.token });
    rooms.push(room);
    const suffix = look.phone ? `phone-${look.theme}` : look.theme;
    await room.sees("waits for your approval");
    for (const [name, address] of Object.entries(VIEWS)) {
      await room.go(address);
      if (name === "playground") await room.sees("it would run");
      if (name === "plot") await room.page.locator(".curve").waitFor({ state: "attached" });
      for (const violation of await room.axe()) found.push(`${name}, ${suffix}: ${violation}`);
      if (shots) await room.page.screenshot({ path: join(shots, `${name}-${suffix}.png`), fullPage: true });
    }
    await room.go("#/approvals");
    await room.press("Approve");
    await room.page.locator("dialog[open]").waitFor();
    for (const violation of await room.axe()) found.push(`dialog, ${suffix}: ${violation}`);
    if (shots) await room.page.screenshot({ path: join(shots, `dialog-${suffix}.png`) });
    await room.page.keyboard.press("Escape");
  }
  engine.write("data/level.json", { level: 42 });
  engine.write("data/reader.json", { reads: true });
  engine.write("data/model.json", engine.read("rules/defaults/model.json"));
  for (const { id } of await engine.ask("/api/silences")) await engine.act("/api/unsilence", { id });
  const calm = await Room.open(browser, engine, { token: engine.token });
  rooms.push(calm);
  await calm.sees("All is well");
  for (const violation of await calm.axe()) found.push(`all is well: ${violation}`);
  if (shots) await calm.page.screenshot({ path: join(shots, "well-light.png"), fullPage: true });
  if (found.length) throw new Error(found.join("\n"));
}
