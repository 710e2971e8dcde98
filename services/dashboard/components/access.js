// The form in which the user enters an access token, if the server requires one.

import { html, useState } from "../vendor/htm-preact-standalone.module.js";
import { setToken } from "../api.js";
import { t } from "../texts.js";

/** Ask for an access token. `refusal` is why the last one was refused, if there was one. */
export function AccessForm({ refusal }) {
  const [token, setEntered] = useState("");
  const submit = (event) => {
    event.preventDefault();
    setToken(token.trim());
  };
  return html`
    <form class="access panel" onSubmit=${submit}>
      <h1 tabindex="-1">${t("access.title")}</h1>
      <p>${t("access.hint")}</p>
      <label for="token">${t("access.label")}</label>
      <input id="token" type="password" autocomplete="off" required value=${token} onInput=${(event) => setEntered(event.target.value)} />
      ${refusal && html`<p class="field-error" role="alert">${refusal}</p>`}
      <button class="primary">${t("access.enter")}</button>
    </form>`;
}
