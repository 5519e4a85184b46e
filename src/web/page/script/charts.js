// A check over time: the strip of its statuses with the repairs on it, and the plot of a value with its thresholds drawn in.

import { h } from "./dom.js";
import { figure, lower, STATUSES } from "./parts.js";
import { clock, exact, span } from "./time.js";

/** Of which time charts tell: key, words, seconds. */
export const WINDOWS = [
  ["15m", "15 min", 900],
  ["1h", "1 h", 3_600],
  ["6h", "6 h", 21_600],
  ["1d", "1 day", 86_400],
  ["7d", "7 days", 604_800],
];

/** Which status stood from when to when, by the changes of a history (any order) and the status of now. Before `first` nobody looked. */
export function segments(history, status, from, to, first = from) {
  const changes = history
    .filter((entry) => entry.what === "change")
    .map((entry) => ({ at: entry.at, from: entry.from, to: entry.to }))
    .sort((one, other) => one.at - other.at);
  const found = [];
  let at = Math.max(from, first);
  let stood = changes.find((change) => change.at > from)?.from ?? status;
  for (const change of changes) {
    if (change.at <= from) {
      stood = change.to;
      continue;
    }
    if (change.at > to) break;
    found.push({ from: at, to: change.at, status: stood });
    at = Math.max(at, change.at);
    stood = change.to;
  }
  found.push({ from: at, to, status: stood });
  return found.filter((one) => one.to > one.from);
}

/** The strip. `held` and repairs are marks above it. */
export function timeline(history, row, { from, to, width, first }) {
  const x = (at) => ((at - from) / (to - from)) * width;
  const parts = segments(history, row.status, from, to, first);
  const repairs = history.filter((entry) => entry.what === "attempt" && entry.at >= from && entry.at <= to);
  const said = STATUSES.map((status) => {
    const length = parts.filter((one) => one.status === status).reduce((sum, one) => sum + one.to - one.from, 0);
    return length > 0 ? `${status} for ${span(length)}` : null;
  })
    .filter(Boolean)
    .join(", ");
  return h(
    "figure",
    { class: "chart" },
    h(
      "svg",
      {
        viewBox: `0 0 ${width} 44`,
        width,
        height: 44,
        role: "img",
        "aria-label": `${said}; ${repairs.length} repairs`,
      },
      parts.map((one) =>
        h(
          "rect",
          {
            class: `band ${lower(one.status)}`,
            x: x(one.from),
            y: one.status === "OK" ? 22 : 16,
            width: Math.max(1.5, x(one.to) - x(one.from)),
            height: one.status === "OK" ? 14 : 20,
          },
          h("title", {}, `${one.status} from ${exact(one.from)} for ${span(one.to - one.from)}`),
        ),
      ),
      repairs.map((entry) =>
        h(
          "path",
          {
            class: `mark ${entry.phase === "verified" ? "good" : entry.phase === "failed" ? "bad" : "plain"}`,
            d: `M${x(entry.at)} 14l-5-9h10z`,
          },
          h("title", {}, `repair ${entry.id} at ${exact(entry.at)}: ${entry.phase}`),
        ),
      ),
    ),
    axis(from, to),
  );
}

function axis(from, to) {
  const middle = (from + to) / 2;
  return h(
    "div",
    { class: "axis", "aria-hidden": "true" },
    [from, middle, to].map((at) => h("span", {}, clock(at, to - from))),
  );
}

/** Round numbers that cover `low` to `high`. */
function ticks(low, high, wanted = 4) {
  const raw = (high - low) / wanted;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= raw) ?? raw;
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step * 1e-9; at += step)
    found.push(Number(at.toPrecision(12)));
  return found;
}

/** The plot of one value over the looks, oldest first. */
export function plot(name, looks, lines, { from, to, width }) {
  const points = looks
    .map((look) => ({ at: look.at, value: look.values?.[name] ?? null, status: look.status, message: look.message }))
    .filter((point) => point.at >= from && point.at <= to);
  const numbers = points.map((point) => point.value).filter((value) => Number.isFinite(value));
  if (numbers.length === 0) return h("p", { class: "nothing" }, "No look of this time has this value.");
  const height = 190;
  const left = 56;
  let low = Math.min(...numbers, ...lines.map((line) => line.at));
  let high = Math.max(...numbers, ...lines.map((line) => line.at));
  if (low === high) [low, high] = [low - Math.max(1, Math.abs(low) * 0.1), high + Math.max(1, Math.abs(high) * 0.1)];
  const pad = (high - low) * 0.08;
  [low, high] = [low - pad, high + pad];
  const x = (at) => left + ((at - from) / (to - from)) * (width - left - 8);
  const y = (value) => 8 + ((high - value) / (high - low)) * (height - 16);
  const last = numbers.at(-1);
  const said =
    `${name}: ${numbers.length} values from ${figure(Math.min(...numbers))} to ${figure(Math.max(...numbers))}, the last is ${figure(last)}` +
    lines.map((line) => `; ${limit(line)}`).join("");
  const nearest = (event) => {
    const box = event.currentTarget.getBoundingClientRect();
    const at = from + (((event.clientX - box.left) * (width / box.width) - left) / (width - left - 8)) * (to - from);
    const point = points.reduce(
      (best, one) => (Math.abs(one.at - at) < Math.abs(best.at - at) ? one : best),
      points[0],
    );
    const readout = event.currentTarget.parentNode.querySelector(".readout");
    readout.textContent = `${exact(point.at)}   ${name} ${figure(point.value)}   ${point.status}   ${point.message ?? ""}`;
    const cursor = event.currentTarget.querySelector(".cursor");
    cursor.setAttribute("d", `M${x(point.at)} 8V${height - 8}`);
  };
  return h(
    "figure",
    { class: "chart" },
    h(
      "svg",
      {
        viewBox: `0 0 ${width} ${height}`,
        width,
        height,
        role: "img",
        "aria-label": said,
        on: { pointermove: nearest },
      },
      ticks(low, high).map((value) =>
        h(
          "g",
          { class: "tick" },
          h("line", { x1: left, x2: width - 8, y1: y(value), y2: y(value) }),
          h("text", { x: left - 8, y: y(value) + 4, "text-anchor": "end" }, figure(value)),
        ),
      ),
      lines.map((line) =>
        h(
          "g",
          { class: `limit ${line.level}` },
          h("rect", {
            x: left,
            width: width - left - 8,
            y: line.side === "above" ? 8 : y(line.at),
            height: Math.max(0, line.side === "above" ? y(line.at) - 8 : height - 8 - y(line.at)),
          }),
          h("line", { x1: left, x2: width - 8, y1: y(line.at), y2: y(line.at) }),
          h("text", { x: width - 12 - aside(line, lines, y), y: label(line, y), "text-anchor": "end" }, limit(line)),
        ),
      ),
      h("path", { class: "curve", d: curve(points, x, y) }),
      points
        .filter((point) => Number.isFinite(point.value) && (point.status !== "OK" || points.length < 80))
        .map((point) =>
          h("circle", {
            class: `dot ${lower(point.status)}`,
            cx: x(point.at),
            cy: y(point.value),
            r: point.status === "OK" ? 2 : 3,
          }),
        ),
      h("path", { class: "cursor", d: "", opaque: true }),
    ),
    axis(from, to),
    h("p", { class: "readout", opaque: true }),
    h(
      "details",
      {},
      h("summary", {}, "As a table"),
      h(
        "div",
        { class: "scroll", tabindex: 0, role: "group", "aria-label": `Values of ${name}` },
        h(
          "table",
          {},
          h("caption", { class: "unseen" }, `Values of ${name}, newest first`),
          h(
            "thead",
            {},
            h(
              "tr",
              {},
              h("th", { scope: "col" }, "Time"),
              h("th", { scope: "col", class: "number" }, name),
              h("th", { scope: "col" }, "Status"),
            ),
          ),
          h(
            "tbody",
            {},
            points
              .slice(-100)
              .reverse()
              .map((point) =>
                h(
                  "tr",
                  {},
                  h("td", {}, exact(point.at)),
                  h("td", { class: "number" }, figure(point.value)),
                  h("td", {}, point.status),
                ),
              ),
          ),
        ),
      ),
    ),
  );
}

/** Where the words of a limit stand: outside of what is well. */
const label = (line, y) => y(line.at) + (line.side === "above" ? -5 : 13);

/** Limits close to one another have their words side by side. */
function aside(line, lines, y) {
  const before = lines.slice(0, lines.indexOf(line));
  return 140 * before.filter((other) => Math.abs(label(other, y) - label(line, y)) < 13).length;
}

const limit = (line) =>
  line.level === "clear" ? `clears at ${figure(line.at)}` : `${line.level} ${line.side} ${figure(line.at)}`;

function curve(points, x, y) {
  let open = false;
  return points
    .map((point) => {
      if (!Number.isFinite(point.value)) {
        open = false;
        return "";
      }
      const move = open ? "L" : "M";
      open = true;
      return `${move}${x(point.at).toFixed(1)} ${y(point.value).toFixed(1)}`;
    })
    .join("");
}

/** How wide a chart may be now. */
export function room() {
  const main = document.querySelector("main");
  return Math.max(280, Math.min(1_400, (main?.clientWidth ?? 800) - (window.innerWidth > 640 ? 74 : 50)));
}
