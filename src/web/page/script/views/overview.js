// Everything at a glance: what is wrong first, with what was tried and what may be done; then every check, worst first, by layer.

import { acknowledge, approve, deny, dryRun, run, silence } from "../actions.js";
import { get, part } from "../ask.js";
import { h } from "../dom.js";
import {
  badge,
  button,
  ending,
  holder,
  icon,
  link,
  lower,
  nothing,
  plural,
  sparkline,
  STATUSES,
  tags,
} from "../parts.js";
import { ago } from "../time.js";

const PAGE = 200;
const CARDS = 6;

export function open(ctx) {
  const filter = {
    search: ctx.query.get("search") ?? "",
    status: ctx.query.get("status") ?? "",
    layer: ctx.query.get("layer") ?? "",
    offset: Number(ctx.query.get("offset") ?? 0) || 0,
  };
  let overview = null;
  let typing = null;

  const narrowed = () => filter.search !== "" || filter.status !== "" || filter.layer !== "";
  const set = (change) => {
    Object.assign(filter, { offset: 0 }, change);
    const search = new URLSearchParams(Object.entries(filter).filter(([, value]) => value !== "" && value !== 0));
    history.replaceState(null, "", `#/${search.size ? `?${search}` : ""}`);
    ctx.reload();
  };

  const filters = () =>
    h(
      "form",
      { class: "filters", role: "search", on: { submit: (event) => event.preventDefault() } },
      h("label", { class: "unseen", for: "search" }, "Search checks"),
      h("input", {
        id: "search",
        type: "search",
        placeholder: "Search checks  /",
        value: filter.search,
        autocomplete: "off",
        spellcheck: "false",
        on: {
          input: (event) => {
            clearTimeout(typing);
            const search = event.target.value;
            typing = setTimeout(() => set({ search }), 180);
          },
        },
      }),
      h(
        "div",
        { class: "choices", role: "group", "aria-label": "Show by status" },
        STATUSES.map((status) =>
          h(
            "button",
            {
              type: "button",
              class: `choice ${lower(status)}`,
              "aria-pressed": String(chosen(filter.status, status)),
              on: { click: () => set({ status: toggled(filter.status, status) }) },
            },
            icon(status),
            h("span", {}, status),
            h("span", { class: "number" }, overview.counts?.[status] ?? 0),
          ),
        ),
      ),
      h("label", { class: "unseen", for: "layer" }, "Layer"),
      h(
        "select",
        { id: "layer", value: filter.layer, on: { change: (event) => set({ layer: event.target.value }) } },
        h("option", { value: "" }, "every layer"),
        overview.layers.map((layer) => h("option", { value: layer.name }, `${layer.name} (${layer.total})`)),
      ),
      narrowed() ? button("Show all", () => set({ search: "", status: "", layer: "" }), { class: "quiet" }) : null,
    );

  const calm = () => {
    const all = Object.values(overview.counts).reduce((sum, count) => sum + count, 0);
    if (all === 0)
      return h(
        "section",
        { class: "well none" },
        h("h2", {}, "There are no checks yet"),
        h("p", {}, "Write one in the ", h("a", { href: "#/rules/edit" }, "playground"), "."),
      );
    return h(
      "section",
      { class: "well" },
      icon("OK"),
      h(
        "div",
        {},
        h("h2", {}, "All is well"),
        h(
          "p",
          {},
          `${plural(all, "check")}, all OK.`,
          ctx.shell.lastLook() ? [" The last look was ", ago(ctx.shell.lastLook()), "."] : null,
          overview.proposals
            ? [" ", h("a", { href: "#/approvals" }, `${plural(overview.proposals, "repair")} wait for approval`), "."]
            : null,
        ),
      ),
    );
  };

  const urgent = () => {
    const all = overview.checks.filter((row) => row.status !== "OK" && !row.behind && !row.silenced_until);
    const bad = all.slice(0, CARDS);
    const more = all.length - bad.length;
    if (bad.length === 0) {
      const quiet =
        overview.checks.length > 0 &&
        overview.checks.every((row) => row.status === "OK" || row.behind || row.silenced_until);
      return overview.overall !== "OK" && quiet && !narrowed()
        ? nothing("What is wrong is silenced, or waits behind something else.")
        : null;
    }
    return h(
      "section",
      { class: "urgent", "aria-labelledby": "urgent" },
      h(
        "h2",
        { id: "urgent" },
        narrowed() ? "The worst of these" : "What is wrong",
        more > 0 ? h("span", { class: "dim" }, ` · the worst ${bad.length}, ${more} more below`) : null,
      ),
      h("div", { class: "cards" }, bad.map(card)),
    );
  };

  const card = (row) => {
    const [attempt, phase] = Array.isArray(row.attempt) ? row.attempt : [];
    const proposal = phase === "proposed" ? { attempt, check: row.name, before: row, steps: [] } : null;
    return h(
      "article",
      { class: `card ${lower(row.status)}`, key: row.name },
      h(
        "header",
        {},
        badge(row.status),
        h("h3", {}, link(row.name)),
        h("span", { class: "push dim" }, "for ", ago(row.since, "since")),
      ),
      h("p", { class: "message" }, row.message),
      h(
        "dl",
        {},
        h("dt", {}, "Tried"),
        h("dd", {}, tried(row)),
        h("dt", {}, "Now"),
        h("dd", {}, present(row, phase)),
        row.acknowledged
          ? [
              h("dt", {}, "Taken by"),
              h(
                "dd",
                {},
                row.acknowledged.by,
                row.acknowledged.reason ? `: ${row.acknowledged.reason}` : "",
                " ",
                h("span", { class: "dim" }, ago(row.acknowledged.at)),
              ),
            ]
          : null,
      ),
      h(
        "footer",
        { class: "actions" },
        proposal
          ? [
              button("Approve…", () => decide(proposal, approve), { class: "main" }),
              button("Deny…", () => decide(proposal, deny)),
            ]
          : null,
        button("Run now", () => run(row.name), { "aria-label": `Run now: ${row.name}` }),
        button("Dry run", () => dryRun(row.name), { "aria-label": `Dry run: ${row.name}` }),
        row.acknowledged
          ? null
          : button("Acknowledge…", () => acknowledge({ check: row.name }).then(ctx.reload), {
              "aria-label": `Acknowledge…: ${row.name}`,
            }),
        button("Silence…", () => silence(row.name).then(ctx.reload), { "aria-label": `Silence…: ${row.name}` }),
      ),
    );
  };

  // The steps of a proposal stand in the list of approvals.
  const decide = async (proposal, act) => {
    const all = await get("/api/approvals").catch(() => []);
    await act(all.find((one) => one.attempt === proposal.attempt) ?? proposal);
    ctx.reload();
  };

  const tried = (row) => {
    const last = row.last_repair;
    if (!last) return h("span", { class: "dim" }, "nothing yet");
    const told = [
      h("a", { href: `#/check/${part(row.name)}` }, last.kind ?? `repair ${last.attempt}`),
      " ",
      ago(last.at),
      ": ",
      ending(last.outcome),
    ];
    // One that was proven mended what was wrong before.
    return last.outcome === "verified" ? ["nothing yet; the time before, ", told] : told;
  };

  const present = (row, phase) => {
    if (phase === "proposed") return "A repair waits for your approval.";
    if (phase) return `A repair is under way (${phase.replaceAll("_", " ")}).`;
    if (row.paused) return "Its repairs are paused.";
    if (row.held_by)
      return [
        `Repairs are held by ${holder(row.held_by)}`,
        row.held_until ? [", which ends ", ago(row.held_until)] : null,
        row.held_why ? `: ${row.held_why}` : ".",
      ];
    if (row.status === "UNKNOWN") return "It cannot be told how it is; UNKNOWN starts no repair.";
    return row.repairable ? "No repair is under way." : "Its rule repairs nothing: a person is needed.";
  };

  const groups = () => {
    const layers = new Map();
    for (const row of overview.checks) layers.set(row.layer, [...(layers.get(row.layer) ?? []), row]);
    // Where something is wrong in the order of that; what is well stays where it is.
    const well = ([, rows]) => rows.every((row) => row.status === "OK");
    const settled = [...layers].filter(well).sort(([one], [other]) => one.localeCompare(other));
    return [...[...layers].filter((layer) => !well(layer)), ...settled].map(([name, rows]) => {
      const layer = overview.layers.find((one) => one.name === name);
      const counts = STATUSES.filter((status) => layer?.counts?.[status] > 0).map((status) =>
        h(
          "span",
          { class: `count ${lower(status)}` },
          icon(status),
          layer.counts[status],
          h("span", { class: "unseen" }, ` ${status}`),
        ),
      );
      return h(
        "section",
        { class: "layer", key: `layer ${name}` },
        h(
          "header",
          {},
          h("h2", {}, name),
          h("span", { class: "counts" }, counts),
          layer && rows.length < layer.total && !narrowed()
            ? h("a", { class: "push", href: `#/?layer=${part(name)}` }, `all ${layer.total}`)
            : null,
        ),
        h(
          "table",
          { class: "checks" },
          h("caption", { class: "unseen" }, `Checks of ${name}, worst first`),
          h(
            "colgroup",
            {},
            ["what", "name", "message", "since", "trend", "last"].map((column) => h("col", { class: column })),
          ),
          h(
            "thead",
            {},
            h(
              "tr",
              {},
              ["Status", "Check", "Message", "Since", "Last looks", "Last repair"].map((title) =>
                h("th", { scope: "col" }, title),
              ),
            ),
          ),
          h("tbody", {}, rows.map(line)),
        ),
      );
    });
  };

  const line = (row) =>
    h(
      "tr",
      {
        key: row.name,
        class: `${lower(row.status)}${(row.behind && row.status !== "OK") || row.silenced_until ? " quiet" : ""}`,
      },
      h("td", { class: "what" }, badge(row.status)),
      h("th", { scope: "row" }, link(row.name)),
      h("td", { class: "message" }, h("span", { class: "text", title: row.message }, row.message), tags(row)),
      h("td", { class: "since number" }, ago(row.since, "since")),
      h("td", { class: "trend" }, sparkline(row)),
      h(
        "td",
        { class: "last" },
        row.last_repair
          ? [ending(row.last_repair.outcome), " ", h("span", { class: "dim" }, ago(row.last_repair.at))]
          : h("span", { class: "none" }, "–"),
      ),
    );

  const pages = () => {
    if (overview.total <= PAGE) return null;
    const first = filter.offset + 1;
    const last = Math.min(overview.total, filter.offset + PAGE);
    return h(
      "nav",
      { class: "pages", "aria-label": "Pages" },
      button("Before", () => set({ offset: Math.max(0, filter.offset - PAGE) }), { disabled: filter.offset === 0 }),
      h("span", {}, `${first}–${last} of ${overview.total}`),
      button("Next", () => set({ offset: filter.offset + PAGE }), { disabled: last >= overview.total }),
    );
  };

  return {
    title: "Overview",
    // Looks come all the time; what they changed beside a status may wait a little.
    wants: (kind) => (kind === "looked" ? 3_000 : 200),
    async load(signal) {
      overview = await get(
        "/api/overview",
        {
          search: filter.search,
          status: filter.status,
          layer: filter.layer,
          limit: PAGE,
          offset: filter.offset || undefined,
        },
        signal,
      );
      ctx.shell.glance(overview);
    },
    render: () => [
      h("h1", { class: "unseen" }, "Overview"),
      overview.overall === "OK" && !narrowed() ? calm() : null,
      urgent(),
      filters(),
      overview.checks.length === 0 && narrowed() ? nothing("No check is like that.") : groups(),
      pages(),
    ],
  };
}

const chosen = (list, status) => list.split(",").includes(status);
const toggled = (list, status) => {
  const all = list === "" ? [] : list.split(",");
  return (all.includes(status) ? all.filter((one) => one !== status) : [...all, status]).join(",");
};
