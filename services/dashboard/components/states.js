// What a view shows while it has nothing else to show: loading, empty, failed, offline.

import { html } from "../vendor/htm-preact-standalone.module.js";
import { t } from "../texts.js";

/** Something is being read. Its text appears only after a moment, so that quick answers do not flicker. */
export function Loading({ label }) {
  return html`<p class="state loading" role="status">${label ?? t("state.loading")}</p>`;
}

/** There is nothing yet. The children say how to get something. */
export function Empty({ title, children }) {
  return html`<div class="state empty"><p class="state-title">${title}</p>${children}</div>`;
}

/**
 * Something went wrong: what, and what to do. A gateway that does not answer is shown as "offline".
 * @param {{error: Error, retry?: function(): void}} props
 */
export function Failure({ error, retry }) {
  const isOffline = error.isOffline === true;
  return html`
    <div class="state failure" role="alert">
      <p class="state-title">${isOffline ? t("state.offline") : t("state.failed")}</p>
      <p>${isOffline ? t("state.offline-hint") : error.message}</p>
      ${retry && html`<button type="button" onClick=${retry}>${t("state.retry")}</button>`}
    </div>`;
}

/** A short word for the status of a job, with a mark that does not depend on colour. */
export function Status({ status }) {
  return html`<span class=${`status status-${status}`}>${t(`status.${status}`)}</span>`;
}
