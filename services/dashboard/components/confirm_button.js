// The button for what cannot be undone: a dialog asks first, and shows a refusal.

import { html, useRef, useState } from "../vendor/htm-preact-standalone.module.js";
import { t } from "../texts.js";

/**
 * Ask, then act. The dialog stays open until the action has ended.
 * @param {{text: string, label?: string, title: string, hint: string, className?: string, action: function(): Promise}}
 *   props `text` is on both buttons, `label` tells screen readers what the first one is about, `title` is the question
 *   and `hint` what the action means. A rejected promise is shown.
 */
export function ConfirmButton({ text, label, title, hint, className, action }) {
  const dialog = useRef(null);
  const [state, setState] = useState({});
  const close = () => dialog.current?.close();
  const act = () => {
    setState({ isBusy: true });
    action().then(() => { setState({}); close(); }, (error) => setState({ error }));
  };
  return html`
    <button type="button" class=${className} aria-label=${label} onClick=${() => dialog.current.showModal()}>${text}</button>
    <dialog ref=${dialog} aria-label=${title}>
      <h2>${title}</h2>
      <p>${hint}</p>
      ${state.error && html`<p class="field-error" role="alert">${state.error.message}</p>`}
      <div class="row end">
        ${state.isBusy && html`<span role="status">${t("status.running")}</span>`}
        <button type="button" onClick=${close}>${t("models.close")}</button>
        <button type="button" class="primary" disabled=${state.isBusy} onClick=${act}>${text}</button>
      </div>
    </dialog>`;
}
