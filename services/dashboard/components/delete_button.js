// The button that deletes something after a question: a dialog asks, starts the deletion and shows a refusal.

import { html, useEffect, useRef, useState } from "../vendor/htm-preact-standalone.module.js";
import { api } from "../api.js";
import { hasEnded, useJob } from "../live.js";
import { t } from "../texts.js";
import { Status } from "./states.js";

/**
 * Delete what a path of the API names. If the API answers with a job, the dialog stays open until the job has ended.
 * @param {{path: string, name: string, hint: string, onDelete: function(): void}} props `name` says what is deleted,
 *   `hint` what this means.
 */
export function DeleteButton({ path, name, hint, onDelete }) {
  const dialog = useRef(null);
  const [begun, setBegun] = useState({});
  const { job, error } = useJob(begun.id ? `/v1/deletions/${begun.id}` : null);
  const refusal = begun.refusal?.message ?? job?.error ?? error?.message;
  const close = () => dialog.current?.close();
  const finish = () => {
    close();
    onDelete();
  };
  useEffect(() => {
    if (job?.status === "succeeded") finish();
  }, [job?.status]);
  const begin = () => api.delete(path).then((deletion) => (deletion ? setBegun(deletion) : finish()), (failure) => setBegun({ refusal: failure }));
  return html`
    <button type="button" class="plain" aria-label=${`${t("models.delete")} ${name}`} onClick=${() => dialog.current.showModal()}>${t("models.delete")}</button>
    <dialog ref=${dialog} aria-label=${t("models.delete-title", { name })}>
      <h2>${t("models.delete-title", { name })}</h2>
      <p>${hint}</p>
      ${job && html`<p><${Status} status=${job.status} /></p>`}
      ${refusal && html`<p class="field-error" role="alert">${refusal}</p>`}
      <div class="row end">
        <button type="button" onClick=${close}>${t("models.close")}</button>
        <button type="button" class="primary" disabled=${begun.id && !hasEnded(job?.status)} onClick=${begin}>${t("models.delete")}</button>
      </div>
    </dialog>`;
}
