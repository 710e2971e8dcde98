// The button that cancels a job.

import { html, useState } from "../vendor/htm-preact-standalone.module.js";
import { api } from "../api.js";
import { t } from "../texts.js";

/**
 * Cancel the job at a path, such as `/v1/loadtests/{id}`.
 * @param {{path: string, name?: string, onCancel?: function(): void}} props `name` says to screen readers which job the
 *   button cancels.
 */
export function CancelButton({ path, name, onCancel = () => {} }) {
  const [error, setError] = useState(null);
  const label = t("train.cancel");
  return html`<button type="button" aria-label=${name && `${label}: ${name}`}
      onClick=${() => api.post(`${path}/cancel`).then(onCancel, setError)}>${label}</button>
    ${error && html`<p class="field-error" role="alert">${error.message}</p>`}`;
}
