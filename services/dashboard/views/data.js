// The view Data.

import { html } from "../vendor/htm-preact-standalone.module.js";
import { t } from "../texts.js";

/** The view of /data. */
export function View() {
  return html`<h1 tabindex="-1">${t("view.data")}</h1>`;
}
