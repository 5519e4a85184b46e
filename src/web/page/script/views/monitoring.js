// SRE monitoring: what checks publish about the whole (`sre_metrics`), the overall health, and what stands in its way.

import { get, peek, post } from "../ask.js";
import { attempt } from "../dialogs.js";
import { h } from "../dom.js";
import { badge, button, figure, link, nothing, panel, plural } from "../parts.js";
import { ago, seconds, span } from "../time.js";

// Words for the numbers that are known; every other is shown under its own name.
const KNOWN = {
  logic_heartbeat: { label: "Heartbeat of the logic", kind: "time" },
  mock_signal_success_pct: { label: "Mock-signal success", kind: "share", unit: "%" },
  parser_health_index: { label: "Parser health index", kind: "share" },
  auto_fix_count: { label: "Repairs proven", kind: "count" },
  last_mock_signal_score: { label: "Last mock-signal score", kind: "number" },
  last_mock_signal_time: { label: "Last mock signal", kind: "time" },
  last_update: { label: "Last update", kind: "time" },
};

export function open(ctx) {
  let health = null;
  let pulse = null;

  const tile = (key, value) => {
    const known = KNOWN[key] ?? {
      label: key.replaceAll("_", " "),
      kind: /(_at|_time|_update|heartbeat)$/.test(key) ? "time" : "number",
    };
    const absent = value === null || value === undefined || value === "";
    const at = known.kind === "time" ? seconds(value) : null;
    const share = known.kind === "share" && typeof value === "number" ? value : null;
    const tone = share === null ? "" : share >= 95 ? "good" : share >= 80 ? "fair" : "poor";
    return h(
      "div",
      { class: `tile ${tone}`, key, "data-metric": key },
      h("dt", {}, known.label),
      h(
        "dd",
        { class: "figure" },
        absent
          ? "–"
          : at !== null
            ? ago(at)
            : [figure(value), known.unit ? h("span", { class: "unit" }, known.unit) : null],
        share === null
          ? null
          : h(
              "span",
              { class: "meter", "aria-hidden": "true" },
              h("span", { css: { width: `${Math.max(0, Math.min(100, share))}%` } }),
            ),
        tone === "poor" ? h("span", { class: "unseen" }, " (poor)") : null,
      ),
    );
  };

  const metrics = () => {
    const values = health.sre_metrics;
    if (!values || typeof values !== "object")
      return nothing("No check has published metrics yet (state/sre_metrics.json).");
    const keys = [
      ...Object.keys(KNOWN).filter(
        (key) =>
          key in values ||
          ["logic_heartbeat", "mock_signal_success_pct", "parser_health_index", "auto_fix_count"].includes(key),
      ),
      ...Object.keys(values).filter((key) => !(key in KNOWN)),
    ];
    return h(
      "dl",
      { class: "tiles" },
      keys.map((key) => tile(key, values[key])),
    );
  };

  const number = (label, value) =>
    h("div", { class: "tile", key: label }, h("dt", {}, label), h("dd", { class: "figure" }, value));

  /** Whether the engine itself gets on: its agenda, not just its socket. */
  const engine = () => {
    if (typeof pulse?.lateness_s !== "number") return null;
    const { alive, why, heartbeat } = pulse;
    return panel(
      "Engine",
      { id: "engine" },
      h(
        "p",
        {},
        badge(alive ? "OK" : "CRITICAL"),
        ` ${why ?? (alive ? "works off its agenda" : "does not work off its agenda")}`,
      ),
      h(
        "dl",
        { class: "tiles" },
        number("Lateness", span(pulse.lateness_s)),
        number("Looks since its start", figure(pulse.looks)),
        number("Slots missed", figure(pulse.missed_slots)),
        number("Next look due", ago(pulse.next_due)),
        heartbeat
          ? number(
              "Heartbeat out",
              heartbeat.error ? h("span", { class: "problem" }, heartbeat.error) : ago(heartbeat.at),
            )
          : null,
      ),
    );
  };

  const words = { healthy: ["OK", "Healthy"], degraded: ["WARNING", "Degraded"], critical: ["CRITICAL", "Critical"] };

  const issues = (title, lines, status) =>
    lines?.length
      ? panel(
          title,
          { note: String(lines.length) },
          h(
            "ul",
            { class: "issues" },
            lines.map((line) => {
              const [name, ...rest] = line.split(": ");
              return h("li", { key: line }, badge(status), " ", link(name), " ", rest.join(": "));
            }),
          ),
        )
      : null;

  const quiet = () => !health.critical_issues?.length && !health.warnings?.length && !health.unknown?.length;

  return {
    title: "SRE monitoring",
    wants: (kind) => (kind === "looked" ? 2_000 : 300),
    beat: () => 0,
    load: async (signal) => {
      [health, pulse] = await Promise.all([
        get("/api/sre/health", {}, signal),
        peek("/healthz").catch((error) => error.body ?? null),
      ]);
    },
    render: () => [
      h(
        "div",
        { class: "heading" },
        h("h1", {}, "SRE monitoring"),
        h(
          "div",
          { class: "actions push" },
          button("Look at everything now", () =>
            attempt(() => post("/api/sre/health", { wait_s: 10 }), "Every check has been looked at.").then(ctx.reload),
          ),
        ),
      ),
      h(
        "p",
        { class: `health ${health.overall_health}` },
        badge((words[health.overall_health] ?? ["UNKNOWN"])[0]),
        " ",
        h("strong", {}, (words[health.overall_health] ?? ["", health.overall_health])[1]),
        h(
          "span",
          { class: "dim" },
          ` · ${plural(health.checks?.length ?? 0, "check")} · generation ${health.generation ?? "–"} · as of `,
          ago(health.timestamp),
          health.paused ? " · repairs are paused" : "",
        ),
      ),
      panel("Metrics", { id: "metrics" }, metrics()),
      issues("Critical", health.critical_issues, "CRITICAL"),
      issues("Cannot be told", health.unknown, "UNKNOWN"),
      issues("Warnings", health.warnings, "WARNING"),
      quiet() ? nothing("Nothing stands in the way.") : null,
      engine(),
    ],
  };
}
