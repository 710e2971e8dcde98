// The deletion of one version: a dialog that asks, starts the job, follows it and shows a refusal.

import { html, useEffect, useRef, useState } from "../vendor/htm-preact-standalone.module.js";
import { api } from "../api.js";
import { hasEnded, useJob } from "../live.js";
import { t } from "../texts.js";
import { Status } from "./states.js";

/**
 * Ask whether a version is to be deleted, and delete it.
 * @param {Object} props
 * @param {string} props.path the version's path in the API.
 * @param {Object} props.label `name`, `backend` and `version`, as the user knows them.
 * @param {function(): void} props.close removes the dialog.
 * @param {function(): void} props.done called when the version is gone.
 */
export function Deletion({ path, label, close, done }) {
  const box = useRef(null);
  const [begun, setBegun] = useState({ id: null, error: null });
  const { job, error } = useJob(begun.id ? `/v1/deletions/${begun.id}` : null);
  const isBusy = begun.id !== null && !(job && hasEnded(job.status));
  const refusal = begun.error?.message ?? job?.error ?? error?.message;
  useEffect(() => box.current.showModal(), []);
  useEffect(() => {
    if (job?.status !== "succeeded") return;
    box.current?.close();
    done();
  }, [job?.status]);
  const begin = () => api.delete(path)
    .then((deletion) => setBegun({ id: deletion.id, error: null }))
    .catch((failure) => setBegun({ id: null, error: failure }));
  return html`
    <dialog ref=${box} aria-labelledby="deletion-title" onClose=${close}>
      <h2 id="deletion-title">${t("models.delete-title", label)}</h2>
      <p>${t("models.delete-hint")}</p>
      ${job && html`<p><${Status} status=${job.status} /></p>`}
      ${refusal && html`<p class="field-error" role="alert">${refusal}</p>`}
      <div class="row end">
        <button type="button" onClick=${() => box.current.close()}>${t(begun.id ? "models.close" : "models.keep")}</button>
        <button type="button" class="primary" disabled=${isBusy} onClick=${begin}>${t("models.delete")}</button>
      </div>
    </dialog>`;
}
