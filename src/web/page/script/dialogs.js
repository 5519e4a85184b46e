// Questions to the person: dialogs with a form, the token, what the keys do; and short notes of how an action went.

import { keepToken, onNeed, token } from "./ask.js";
import { h, show } from "./dom.js";

let opened = 0;

/**
 * Asks. `fields` are `{ name, label, kind: "text" | "choice" | "secret" | "check", value, choices, hint, wanted }`; `act(values)` is
 * awaited, and its error shown in the dialog. Answers what `act` gave, or `null` when the person thought better of it.
 */
export function ask({
  title,
  about = [],
  fields = [],
  say = "OK",
  kind = "main",
  act = async (values) => values,
  wide = false,
}) {
  opened += 1;
  const id = `dialog-${opened}`;
  const dialog = document.createElement("dialog");
  dialog.setAttribute("aria-labelledby", `${id}-title`);
  if (wide) dialog.classList.add("wide");
  document.body.append(dialog);
  return new Promise((resolve) => {
    let problem = null;
    let busy = false;
    let answer = null;
    const draw = () =>
      show(
        dialog,
        h(
          "form",
          { method: "dialog", novalidate: true, on: { submit: (event) => submit(event) } },
          h("h2", { id: `${id}-title` }, title),
          about,
          fields.map((field) => input(field, `${id}-${field.name}`)),
          h("p", { class: "problem", role: "alert" }, problem),
          h(
            "div",
            { class: "actions" },
            h("button", { type: "button", on: { click: () => dialog.close() } }, say === null ? "Close" : "Cancel"),
            say === null ? null : h("button", { type: "submit", class: kind, disabled: busy }, busy ? "…" : say),
          ),
        ),
      );
    const submit = async (event) => {
      event.preventDefault();
      if (busy) return;
      const values = {};
      for (const field of fields) {
        const element = dialog.querySelector(`[name="${field.name}"]`);
        values[field.name] = field.kind === "check" ? element.checked : element.value.trim();
        if (field.wanted && values[field.name] === "") {
          problem = `${field.label}: ${field.wanted}`;
          draw();
          element.focus();
          return;
        }
      }
      busy = true;
      problem = null;
      draw();
      try {
        answer = (await act(values)) ?? true;
        dialog.close();
      } catch (error) {
        problem = error.message;
        busy = false;
        draw();
      }
    };
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(answer);
    });
    draw();
    dialog.showModal();
    const first = dialog.querySelector("[data-first]") ?? dialog.querySelector("input, select, textarea");
    first?.focus();
  });
}

function input(field, id) {
  const described = field.hint ? `${id}-hint` : undefined;
  const common = {
    id,
    name: field.name,
    "aria-describedby": described,
    autocomplete: "off",
    "aria-required": field.wanted ? "true" : undefined,
  };
  if (field.kind === "check") {
    return h(
      "p",
      { class: "field check" },
      h("input", { ...common, type: "checkbox", checked: field.value ?? false }),
      h("label", { for: id }, field.label),
    );
  }
  const element =
    field.kind === "choice"
      ? h(
          "select",
          { ...common, value: field.value },
          field.choices.map(([value, text]) => h("option", { value }, text)),
        )
      : h("input", {
          ...common,
          type: field.kind === "secret" ? "password" : "text",
          value: field.value ?? "",
          spellcheck: "false",
        });
  return h(
    "p",
    { class: "field" },
    h("label", { for: id }, field.label),
    element,
    field.hint ? h("span", { class: "hint", id: described }, field.hint) : null,
  );
}

let waiting = null;
let renewed = () => {};

export function onToken(handler) {
  renewed = handler;
}

/** Asks for a token, once for all who wait for it. */
export function askToken(refused = null) {
  waiting ??= tokenDialog(refused).finally(() => (waiting = null));
  return waiting;
}

async function tokenDialog(refused) {
  const had = token();
  const why =
    refused === null
      ? null
      : refused.status === 403
        ? `The present token is not enough: ${refused.message}.`
        : had
          ? "The engine does not accept the present token."
          : "Changing something needs a token.";
  const given = await ask({
    title: "A token",
    about: [
      why ? h("p", {}, why) : null,
      h(
        "p",
        {},
        "On the machine of the engine, ",
        h("code", {}, "homeostat token"),
        " prints the owner's token and an address that brings it along.",
      ),
      h("p", { class: "dim" }, "It is kept in this tab only, until the tab is closed."),
    ],
    fields: [{ name: "token", label: "Token", kind: "secret", wanted: "give one, or cancel" }],
    say: "Use it",
    act: async ({ token: value }) => {
      if (!/^[\x21-\x7e]+$/.test(value)) throw new Error("a token has no spaces and only plain letters");
      const answer = await fetch("/api/whoami", { headers: { Authorization: `Bearer ${value}` }, cache: "no-store" });
      if (answer.status === 401) throw new Error("the engine does not know this token");
      if (answer.status === 429) throw new Error("too many wrong tokens: wait a minute");
      keepToken(value);
      return true;
    },
  });
  if (given) renewed();
  return given === true;
}

onNeed(askToken);

/** A short note of how it went; errors stay until they are closed. */
export function note(text, tone = "good") {
  const place = document.getElementById("notes");
  const element = document.createElement("div");
  element.className = `toast ${tone}`;
  if (tone === "bad") element.setAttribute("role", "alert");
  const end = () => element.remove();
  show(
    element,
    h("p", {}, text),
    h("button", { type: "button", class: "quiet", "aria-label": "Close this note", on: { click: end } }, "✕"),
  );
  place.append(element);
  if (tone !== "bad") setTimeout(end, 6_000);
  while (place.children.length > 4) place.firstChild.remove();
}

/** Does it and says so; the error is a note. Answers what `act` gave, `null` when it failed. */
export async function attempt(act, said = null) {
  try {
    const answer = await act();
    if (said) note(typeof said === "function" ? said(answer) : said);
    return answer ?? true;
  } catch (error) {
    if (error.name !== "AbortError") note(error.message, "bad");
    return null;
  }
}
