// Parts of the page by themselves, run in the browser: words for times, the strip of statuses, and how the document is changed.

import assert from "node:assert/strict";
import { enter } from "../room.mjs";

export const parts = [
  [
    "times are told in words, and 0 is a number",
    async (hands) => {
      const room = await enter(hands);
      const said = await room.page.evaluate(async () => {
        const { span, seconds } = await import("/assets/script/time.js");
        const { figure } = await import("/assets/script/parts.js");
        return {
          spans: [0, 0.2, 4.25, 45, 600, 5400, 7260, 180_000, 2_000_000, NaN].map(span),
          seconds: [1_767_717_000, 1_767_717_000_000, "2026-01-06T16:30:00Z", null, "", "never"].map(seconds),
          figures: [0, null, undefined, "", 12_345.678, 1_234_567, false, 0.1 + 0.2].map(figure),
        };
      });
      assert.deepEqual(said, {
        spans: ["0 ms", "200 ms", "4.3 s", "45 s", "10 min", "90 min", "2 h 1 min", "2 d 2 h", "23 d", "–"],
        seconds: [1_767_717_000, 1_767_717_000, 1_767_717_000, null, null, null],
        figures: ["0", "–", "–", "–", "12346", "1 234 567", "no", "0.3"],
      });
    },
  ],

  [
    "the strip of statuses goes by the changes, whichever way they come",
    async (hands) => {
      const room = await enter(hands);
      const strips = await room.page.evaluate(async () => {
        const { segments } = await import("/assets/script/charts.js");
        const change = (at, from, to) => ({ what: "change", at, from, to });
        const short = (parts) => parts.map(({ from, to, status }) => `${from}-${to} ${status}`).join(", ");
        return [
          short(segments([], "OK", 100, 200)),
          short(segments([change(180, "CRITICAL", "OK"), change(150, "OK", "CRITICAL")], "OK", 100, 200)),
          short(segments([change(50, "OK", "WARNING"), change(150, "WARNING", "OK")], "OK", 100, 200)),
          short(segments([change(50, "OK", "WARNING")], "WARNING", 100, 200)),
          short(segments([change(150, "UNKNOWN", "OK")], "OK", 100, 200, 145)),
        ];
      });
      assert.deepEqual(strips, [
        "100-200 OK",
        "100-150 OK, 150-180 CRITICAL, 180-200 OK",
        "100-150 WARNING, 150-200 OK",
        "100-200 WARNING",
        "145-150 UNKNOWN, 150-200 OK",
      ]);
    },
  ],

  [
    "what changes is changed in place: focus, typed text and opened parts stay, lines move by their key",
    async (hands) => {
      const room = await enter(hands);
      const kept = await room.page.evaluate(async () => {
        const { h, show } = await import("/assets/script/dom.js");
        const place = document.createElement("div");
        document.body.append(place);
        const draw = (names, value) =>
          show(
            place,
            names.map((name) =>
              h(
                "p",
                { key: name },
                h("input", { value, "aria-label": name }),
                h("details", {}, h("summary", {}, name), "more"),
              ),
            ),
          );
        draw(["a", "b", "c"], "");
        const [first, second] = place.querySelectorAll("p");
        second.querySelector("input").focus();
        second.querySelector("input").value = "typed";
        second.querySelector("details").open = true;
        draw(["c", "b", "x", "a"], "");
        const order = [...place.children].map((one) => one.textContent);
        const result = {
          order,
          same: place.children[1] === second && place.children[3] === first,
          focus: document.activeElement === second.querySelector("input"),
          typed: second.querySelector("input").value,
          open: second.querySelector("details").open,
        };
        draw([], "");
        const refused = ["onclick", "style", "srcdoc"].map((name) => {
          try {
            show(place, h("p", { [name]: "x" }));
            return "set";
          } catch {
            return "refused";
          }
        });
        place.remove();
        return { ...result, left: place.childNodes.length > 1, refused };
      });
      assert.deepEqual(kept, {
        order: ["cmore", "bmore", "xmore", "amore"],
        same: true,
        focus: true,
        typed: "typed",
        open: true,
        left: false,
        refused: ["refused", "refused", "refused"],
      });
    },
  ],
];
