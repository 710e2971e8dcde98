// Which model and version the view Compare shows. Each choice is an address of its own.

import { html } from "../vendor/htm-preact-standalone.module.js";
import { addressOf, navigate } from "../router.js";
import { t } from "../texts.js";

/** Choose a model and one of its versions. `choice` has the `name`, the `version` and `all` versions. */
export function CompareForm({ models, choice }) {
  const show = (query) => navigate(addressOf("compare", query));
  return html`
    <div class="row compare-choice">
      <div class="field"><label for="compare-model">${t("compare.model")}</label>
        <select id="compare-model" value=${choice.name} onChange=${(event) => show({ model: event.target.value })}>
          ${!choice.model && html`<option value=${choice.name}>${choice.name}</option>`}
          ${models.map(({ name }) => html`<option key=${name} value=${name}>${name}</option>`)}
        </select></div>
      ${choice.model && html`<div class="field"><label for="compare-version">${t("compare.version")}</label>
        <select id="compare-version" value=${choice.version ?? ""} onChange=${(event) => show({ model: choice.name, version: event.target.value })}>
          ${choice.version === null && html`<option value="">–</option>`}
          ${choice.all.map((version) => html`<option key=${version} value=${version}>${version}</option>`)}
        </select></div>`}
    </div>`;
}
