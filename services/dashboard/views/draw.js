// The view Draw.

import { html } from "../vendor/htm-preact-standalone.module.js";
import { t } from "../texts.js";

/** The view of /draw. */
export function View() {
  return html`<h1 tabindex="-1">${t("view.draw")}</h1>`;
}
