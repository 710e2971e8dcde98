// The bar that shows how much of a piece of work is done.

import { html } from "../vendor/htm-preact-standalone.module.js";

/**
 * Show that `done` of `of` is done.
 * @param {{label: string, done: number, of: number, colour?: string}} props `colour` is a CSS variable.
 */
export function ProgressBar({ label, done, of, colour = "--accent" }) {
  const share = Math.round((100 * done) / of) || 0;
  return html`<div class="bar" role="progressbar" aria-label=${label} aria-valuenow=${share}>
    <span style=${{ width: `${share}%`, background: `var(${colour})` }}></span></div>`;
}
