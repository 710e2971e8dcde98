// The button that deletes something after a question.

import { html } from "../vendor/htm-preact-standalone.module.js";
import { api } from "../api.js";
import { waitForEnd } from "../live.js";
import { t } from "../texts.js";
import { ConfirmButton } from "./confirm_button.js";

/**
 * Delete what a path of the API names. If the API answers with a job, the dialog stays open until the job has ended.
 * @param {{path: string, name: string, hint: string, onDelete: function(): void}} props `name` says what is deleted,
 *   `hint` what this means.
 */
export function DeleteButton({ path, name, hint, onDelete }) {
  const remove = async () => {
    const deletion = await api.delete(path);
    if (deletion) await waitForEnd(`/v1/deletions/${deletion.id}`);
    onDelete();
  };
  return html`<${ConfirmButton} className="plain" text=${t("models.delete")} label=${`${t("models.delete")} ${name}`}
    title=${t("models.delete-title", { name })} hint=${hint} action=${remove} />`;
}
