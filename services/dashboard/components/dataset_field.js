// The field that chooses a dataset, and shows its first pictures.

import { html } from "../vendor/htm-preact-standalone.module.js";
import { number, t } from "../texts.js";
import { Picture } from "./picture.js";

/** Return the dataset to begin with: the one of a name, else the first that is ready. */
export function firstDataset(datasets, name) {
  return datasets.find((dataset) => dataset.name === name) ?? datasets.find(({ ready }) => ready) ?? datasets[0];
}

/**
 * Choose one of the datasets of GET /v1/datasets.
 * @param {{datasets: Object[], name: string, onChange: function(string): void}} props `name` is the chosen one's.
 */
export function DatasetField({ datasets, name: current, onChange }) {
  const chosen = datasets.find(({ name }) => name === current);
  return html`
    <div class="field">
      <label for="dataset">${t("train.dataset")}</label>
      <select id="dataset" value=${chosen.name} onChange=${(event) => onChange(event.target.value)}>
        ${datasets.map(({ name, ready }) => html`<option key=${name} value=${name} disabled=${!ready}>
          ${ready ? name : t("train.not-ready", { name })}</option>`)}
      </select>
      <p class="field-hint">${t("train.dataset-size", { train: number(chosen.sizes.train ?? 0), test: number(chosen.sizes.test ?? 0), classes: chosen.classes.length })}</p>
      ${chosen.problem ? html`<p class="field-error">${chosen.problem}</p>` : html`
        <div class="samples"><${Picture} path=${`/v1/datasets/${chosen.name}/samples.png?count=20`} alt=${t("train.samples", { name: chosen.name })} /></div>`}
    </div>`;
}
