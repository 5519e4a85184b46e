// The page in a real browser, against the real engine: node .ci/browser/run.mjs PATH/TO/homeostat [--shots DIR] [--only WORD]
//
// Tests run one after the other on one engine, each leaves the root as it found it. Waiting is for a state, with a bound.

import { mkdirSync } from "node:fs";
import { resolve } from "node:path";
import { Engine } from "./engine.mjs";
import { launch } from "./room.mjs";
import { acting } from "./tests/acting.mjs";
import { parts } from "./tests/parts.mjs";
import { seeing } from "./tests/seeing.mjs";
import { staying } from "./tests/staying.mjs";
import { writing } from "./tests/writing.mjs";
import { walk } from "./walk.mjs";

const [binary, ...rest] = process.argv.slice(2);
if (!binary) {
  console.error("node run.mjs PATH/TO/homeostat [--shots DIR] [--only WORD]");
  process.exit(2);
}
const option = (name) => (rest.includes(name) ? rest[rest.indexOf(name) + 1] : null);
const shots = option("--shots");
const only = option("--only");
if (shots) mkdirSync(shots, { recursive: true });

const engine = new Engine(resolve(binary));
let browser = null;
let failed = 0;
let run = 0;
try {
  await engine.start();
  browser = await launch();
  const all = [
    ...parts,
    ...seeing,
    ...acting,
    ...writing,
    ...staying,
    ["every view in both themes and on a telephone: no violation of axe-core", (hands) => walk({ ...hands, shots })],
  ];
  for (const [name, test] of all) {
    if (only && !name.includes(only)) continue;
    run += 1;
    const began = performance.now();
    const rooms = [];
    let problem = null;
    try {
      await test({ browser, engine, rooms, shots });
    } catch (error) {
      problem = error;
      const last = rooms.findLast((room) => !room.page.isClosed());
      if (last && shots)
        await last.page.screenshot({ path: resolve(shots, `failed-${run}.png`), fullPage: true }).catch(() => {});
    }
    for (const room of rooms) {
      const complaints = await room.close();
      if (complaints.length && !problem) problem = new Error(`the browser complains:\n${complaints.join("\n")}`);
    }
    await engine.restore();
    failed += problem ? 1 : 0;
    console.log(`${problem ? "FAILED" : "ok    "} ${name} (${((performance.now() - began) / 1000).toFixed(1)} s)`);
    if (problem) console.log(String(problem.stack ?? problem).replace(/^/gm, "       "));
  }
} catch (error) {
  failed += 1;
  console.error(error);
} finally {
  await browser?.close();
  await engine.end();
}
console.log(`${run - failed} of ${run} browser tests passed`);
process.exit(failed === 0 && run > 0 ? 0 : 1);
