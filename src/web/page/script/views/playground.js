// The playground: edit a rule file, see complaints and the dry run as you type, and save it like any other write.

import { get, post, postQuietly, put } from "../ask.js";
import { would } from "../actions.js";
import { ask, askToken, attempt, note } from "../dialogs.js";
import { editor } from "../editor.js";
import { h } from "../dom.js";
import { badge, button, nothing, plural, tag } from "../parts.js";

const PAUSE = 450;
const FRESH = `# yaml-language-server: $schema=../docs/rules.schema.json

checks:
  - name: new_check
    about: What holds when it is OK.
    trigger: { every: 5m }
    probe: { file: { file: data/example.json } }
    threshold:
      critical: missing
      warning: age_s > 3600
    message:
      ok: 'written \${age_s.fixed(0)} s ago'
      critical: it is missing
`;

// What was typed and not saved, by path, while this tab is open: leaving the view loses nothing.
const drafts = new Map();

export function open(ctx) {
  let path = ctx.query.get("path");
  const line = Number(ctx.query.get("line")) || null;
  let text = null;
  let saved = null;
  let hash = null;
  let judged = null;
  let lacking = null;
  let problem = null;
  let judging = false;
  let timer = null;
  let abort = null;
  let live = null;

  const changed = () => text !== saved;

  const judge = async (asking = false) => {
    clearTimeout(timer);
    // Not asked in vain at every key.
    if (!asking && ctx.shell.whoami && !ctx.shell.whoami.can?.admin) {
      [judged, lacking] = [null, { status: 403, message: "a token of scope admin is needed" }];
      return ctx.redraw();
    }
    abort?.abort();
    abort = new AbortController();
    const mine = abort;
    judging = true;
    ctx.redraw();
    try {
      const body = { files: { [path]: text } };
      judged = await (asking ? post : postQuietly)("/api/rules/dry-run", body, mine.signal);
      lacking = null;
      problem = null;
    } catch (error) {
      if (error.name === "AbortError") return;
      // Somebody else's are being tried.
      if (error.status === 429 && mine === abort) {
        timer = setTimeout(() => judge(asking), 1_000);
        return;
      }
      judged = null;
      lacking = error.status === 401 || error.status === 403 ? error : null;
      problem = lacking ? null : error.message;
    }
    if (mine !== abort) return;
    judging = false;
    ctx.redraw();
  };

  const edited = (value) => {
    text = value;
    if (changed()) drafts.set(path, { text, saved, hash });
    else drafts.delete(path);
    clearTimeout(timer);
    timer = setTimeout(() => judge(), PAUSE);
    ctx.redraw();
  };

  const save = async (force = false) => {
    try {
      const answer = await put("/api/rules/file", { path, text, hash, force });
      hash = answer.hash;
      saved = text;
      drafts.delete(path);
      live = answer.reload ?? null;
      note(
        live?.live === false
          ? `${path} is saved, but the rules are refused: the last good ones keep running.`
          : `${path} is saved and live${live ? `: ${live.changes}` : ""}.`,
        live?.live === false ? "bad" : "good",
      );
      if (ctx.query.get("path") !== path)
        history.replaceState(null, "", `#/rules/edit?path=${encodeURIComponent(path)}`);
      ctx.redraw();
    } catch (error) {
      if (error.status === 409) await conflict();
      else if (error.status === 422) await mistaken(error);
      else if (error.name !== "AbortError") note(error.message, "bad");
    }
  };

  const conflict = async () => {
    const other = await attempt(() => get("/api/rules/file", { path }));
    if (!other) return;
    const mine = await ask({
      title: "Somebody else has changed this file",
      about: [
        h("p", {}, `${path} is no longer what you began with. This is what it is now:`),
        h("pre", { class: "source", tabindex: 0 }, other.text),
      ],
      fields: [
        {
          name: "what",
          label: "What to keep",
          kind: "choice",
          value: "theirs",
          choices: [
            ["theirs", "theirs: my changes go"],
            ["mine", "mine: theirs go"],
          ],
        },
      ],
      say: "Go on",
      wide: true,
    });
    if (!mine) return;
    hash = other.hash;
    if (mine.what === "mine") return save();
    text = other.text;
    saved = other.text;
    drafts.delete(path);
    judge();
  };

  const mistaken = async (error) => {
    const sure = await ask({
      title: "These rules would be refused",
      about: [
        h("p", {}, "The engine would keep its last good rules until this is put right."),
        h("pre", { class: "complaints", tabindex: 0 }, error.body.complaints_text ?? error.message),
      ],
      say: "Save all the same",
      kind: "danger",
      wide: true,
    });
    if (sure) await save(true);
  };

  const complaints = () => (judged?.complaints ?? []).filter((one) => belongs(one.file));
  const belongs = (file) => file === path || `rules/${file}` === path || file === path.replace(/^rules\//, "");

  const verdicts = () => {
    if (lacking)
      return h(
        "p",
        { class: "offer" },
        h("span", {}, "Complaints and the dry run need a token of scope admin."),
        button("Give a token…", () => askToken(lacking).then((given) => given && judge()), { class: "main" }),
      );
    if (problem) return h("p", { class: "problem", role: "alert" }, problem);
    if (!judged) return nothing(judging ? "Judging…" : "Type, and it is judged.");
    const others = (judged.complaints ?? []).filter((one) => !belongs(one.file));
    return [
      h(
        "p",
        { class: "summary" },
        judged.ok ? tag("good", "it would run") : tag("held", "it would be refused"),
        " ",
        plural((judged.complaints ?? []).filter((one) => one.severity === "error").length, "error"),
        ", ",
        plural((judged.complaints ?? []).filter((one) => one.severity !== "error").length, "warning"),
      ),
      listed(complaints()),
      others.length
        ? h("details", {}, h("summary", {}, `${plural(others.length, "complaint")} in other files`), listed(others))
        : null,
    ];
  };

  const listed = (all) =>
    h(
      "ol",
      { class: "complaints" },
      all.map((one, index) =>
        h(
          "li",
          { key: `${one.file} ${one.line} ${one.column} ${index}`, class: one.severity },
          h(
            "button",
            { type: "button", class: "place", on: { click: () => belongs(one.file) && go(one.line) } },
            `${belongs(one.file) ? "" : `${one.file}:`}${one.line}:${one.column}`,
          ),
          h("p", {}, h("strong", {}, one.message), " ", h("span", { class: "dim" }, one.code)),
          one.help ? h("p", { class: "help" }, one.help) : null,
        ),
      ),
    );

  const go = (number) => {
    const area = document.getElementById("editor");
    if (!area) return;
    const lines = text.split("\n");
    const start = lines.slice(0, number - 1).reduce((sum, one) => sum + one.length + 1, 0);
    area.focus();
    area.setSelectionRange(start, start + (lines[number - 1]?.length ?? 0));
    area.closest(".editor").scrollTop = Math.max(0, (number - 6) * 20);
  };

  const outcome = () => {
    if (!judged?.ok) return null;
    const pairs = (judged.compare?.checks ?? []).filter((pair) => pair.differs);
    const shown = judged.answer?.checks ?? [];
    return [
      h("h2", {}, "What would be"),
      judged.changes
        ? h(
            "p",
            { class: "dim" },
            judged.changes.text,
            ["added", "changed", "removed"]
              .filter((what) => judged.changes[what]?.length)
              .map((what) => ` · ${what}: ${named(judged.changes[what])}`),
          )
        : null,
      pairs.length
        ? h(
            "div",
            { class: "scroll", tabindex: 0, role: "group", "aria-label": "Comparison" },
            h(
              "table",
              { class: "compare" },
              h("caption", {}, "Against the rules that run"),
              h(
                "thead",
                {},
                h(
                  "tr",
                  {},
                  ["Check", "Now", "With these rules"].map((title) => h("th", { scope: "col" }, title)),
                ),
              ),
              h(
                "tbody",
                {},
                pairs.map((pair) =>
                  h(
                    "tr",
                    { key: pair.name },
                    h("th", { scope: "row" }, pair.name),
                    h("td", {}, side(pair.present)),
                    h("td", {}, side(pair.candidate)),
                  ),
                ),
              ),
            ),
          )
        : judged.compare
          ? nothing("Nothing would be judged otherwise now.")
          : null,
      shown.slice(0, 20).map(would),
      shown.length > 20 ? h("p", { class: "dim" }, `${shown.length - 20} more`) : null,
    ];
  };

  const named = (names) => names.slice(0, 8).join(", ") + (names.length > 8 ? ` and ${names.length - 8} more` : "");

  const side = (one) =>
    one
      ? [
          badge(one.status),
          " ",
          one.message,
          one.decision === "would"
            ? [" ", tag("busy", "would be repaired")]
            : one.decision === "held"
              ? [" ", tag("held", `held by ${one.held_by}`)]
              : null,
        ]
      : h("span", { class: "none" }, "not there");

  return {
    title: path ?? "New rule",
    wants: (kind) => (kind === "reloaded" || kind === "refused" ? 300 : null),
    async load(signal) {
      if (text !== null) return;
      if (path) {
        const file = await get("/api/rules/file", { path }, signal);
        [text, saved, hash] = [file.text, file.text, file.hash];
      } else {
        [path, text, saved, hash] = ["rules/new.yaml", FRESH, null, null];
      }
      // With the hash it began from: saving over somebody else's change is still noticed.
      const draft = drafts.get(path);
      if (draft) [text, saved, hash] = [draft.text, draft.saved, draft.hash];
      judge();
    },
    leaving: () => (drafts.size > 0 ? "There are changes that are not saved." : null),
    close: () => {
      clearTimeout(timer);
      abort?.abort();
    },
    ready: () => line && go(line),
    render: () => [
      h(
        "div",
        { class: "heading" },
        h("h1", {}, "Playground"),
        hash === null
          ? h(
              "p",
              { class: "field inline" },
              h("label", { for: "path" }, "File"),
              h("input", {
                id: "path",
                value: path,
                spellcheck: "false",
                autocomplete: "off",
                on: {
                  change: (event) => {
                    path = event.target.value.trim();
                    judge();
                  },
                },
              }),
            )
          : h("code", {}, path),
        changed() ? tag("waits", "not saved") : tag("calm", "as saved"),
        h(
          "div",
          { class: "actions push" },
          h("a", { class: "button", href: "#/rules" }, "All rules"),
          button("Judge now", () => judge(true)),
          button("Save", () => save(), { class: "main", disabled: !changed() }),
        ),
      ),
      h(
        "div",
        { class: "pair playground" },
        h("section", { "aria-label": "The file" }, editor({ text, complaints: complaints(), edited, save })),
        h(
          "section",
          { class: "panel", "aria-label": "What the engine says to it", "aria-busy": String(judging) },
          h("h2", {}, "Complaints"),
          h("div", { role: "status", class: judging ? "verdicts judging" : "verdicts" }, verdicts()),
          outcome(),
        ),
      ),
    ],
  };
}
