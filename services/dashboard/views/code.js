// The view Code.

import { html } from "../vendor/htm-preact-standalone.module.js";
import { t } from "../texts.js";

/** The view of /code. */
export function View() {
  return html`<h1 tabindex="-1">${t("view.code")}</h1>`;
}
