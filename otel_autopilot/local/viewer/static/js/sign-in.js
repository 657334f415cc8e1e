// When the backend wants a token: ask for it, and go on where the page stopped.

import { openSession } from "./api.js";
import { h, fill } from "./dom.js";

/** Resolves once the backend has taken a token. @returns {Promise<void>} */
export function askForToken() {
  return new Promise((resolve) => {
    const input = h("input", { id: "token", type: "password", name: "token", autocomplete: "current-password", required: true, "aria-describedby": "token-help" });
    const wrong = h("p", { class: "outcome failed", role: "alert" });
    const button = h("button", { type: "submit", class: "button main" }, "Open the viewer");
    const dialog = h("dialog", { "aria-labelledby": "sign-in-title", on: { cancel: (event) => event.preventDefault() } });
    const submit = async (event) => {
      event.preventDefault();
      button.disabled = true;
      fill(wrong);
      try {
        await openSession(input.value.trim());
        dialog.close();
        dialog.remove();
        resolve();
      } catch (error) {
        fill(wrong, error.message.charAt(0).toUpperCase() + error.message.slice(1));
        input.select();
      } finally {
        button.disabled = false;
      }
    };
    fill(dialog, h("form", { class: "sign-in", on: { submit } },
      h("h2", { id: "sign-in-title" }, "A token, please"),
      h("p", { id: "token-help", class: "muted" }, "This viewer can be reached from other machines, so it asks who comes. The token stands in the file that ", h("code", null, "AUTOPILOT_API_TOKEN_FILE"), " names."),
      h("label", { for: "token" }, "Token"), input, wrong, button));
    document.body.append(dialog);
    dialog.showModal();
    input.focus();
  });
}
