// The button that cancels a job.

import { html, useState } from "../vendor/htm-preact-standalone.module.js";
import { api } from "../api.js";

/**
 * Cancel the job at a path, such as `/v1/loadtests/{id}`.
 * @param {{path: string, label: string, name?: string, onCancel?: function(): void}} props `name` says to screen readers
 *   which job the button cancels.
 */
export function CancelButton({ path, label, name, onCancel }) {
  const [error, setError] = useState(null);
  const [isSending, setIsSending] = useState(false);
  const cancel = async () => {
    setIsSending(true);
    try {
      await api.post(`${path}/cancel`);
      setError(null);
      onCancel?.();
    } catch (refusal) {
      setError(refusal);
    }
    setIsSending(false);
  };
  return html`<button type="button" disabled=${isSending} aria-label=${name ? `${label}: ${name}` : null} onClick=${cancel}>${label}</button>
    ${error && html`<p class="field-error" role="alert">${error.message}</p>`}`;
}
