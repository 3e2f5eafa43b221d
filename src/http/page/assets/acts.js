// Actions: a link with `data-act` leads to a page that asks for confirmation. On a live page a dialog asks instead.

import { refresh } from "./live.js";

const csrf = () => document.querySelector('meta[name="docent-csrf"]')?.content ?? "";

function element(name, text, properties = {}) {
  return Object.assign(document.createElement(name), { textContent: text }, properties);
}

// Shows the result of an action, also to screen readers.
export function say(text, failed) {
  const said = document.getElementById("said");
  said.className = failed ? "said bad" : "said";
  said.textContent = text;
  clearTimeout(say.timer);
  say.timer = setTimeout(() => { said.textContent = ""; }, failed ? 20000 : 8000);
}

// Asks for confirmation of `act`, and does it.
export function ask(act) {
  const dialog = document.createElement("dialog");
  const heading = element("h2", act.dataset.act, { id: "ask-title" });
  const form = element("form", "", { method: "dialog", className: "acts" });
  const dangerous = act.hasAttribute("data-danger");
  form.append(
    element("button", "Cancel", { value: "" }),
    element("button", act.textContent.trim(), { value: "yes", className: dangerous ? "danger" : "main" }),
  );
  dialog.setAttribute("aria-labelledby", heading.id);
  dialog.append(heading, element("p", act.dataset.ask ?? ""), form);
  dialog.addEventListener("close", () => {
    dialog.remove();
    if (dialog.returnValue === "yes") {
      send(act.href);
    }
    // The link may have been replaced meanwhile.
    (act.isConnected ? act : document.getElementById(act.id) ?? document.getElementById("main")).focus();
  });
  document.body.append(dialog);
  dialog.showModal();
}

async function send(address) {
  try {
    const headers = { "docent-csrf": csrf(), accept: "application/json" };
    const answer = await fetch(address, { method: "POST", headers });
    const told = await answer.json();
    say(answer.ok ? told.said : [told.detail, told.hint].filter(Boolean).join(". "), !answer.ok);
  } catch (error) {
    say(`It is not known whether this was done: ${error.message}`, true);
  }
  refresh();
}
