// The view Load.

import { html } from "../vendor/htm-preact-standalone.module.js";
import { t } from "../texts.js";

/** The view of /load. */
export function View() {
  return html`<h1 tabindex="-1">${t("view.load")}</h1>`;
}
