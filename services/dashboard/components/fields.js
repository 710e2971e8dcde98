// The fields of forms: each has a label, and tells its value to `onChange`.

import { html } from "../vendor/htm-preact-standalone.module.js";

/** A number. Its value is "" while the field is empty. `limits` are attributes such as `min` and `max`. */
export function NumberField({ id, label, value, onChange, isOptional, step = "1", ...limits }) {
  const change = ({ target }) => onChange(target.value === "" ? "" : target.valueAsNumber);
  return html`<div class="field"><label for=${id}>${label}</label>
    <input id=${id} type="number" value=${value} required=${!isOptional} step=${step} ...${limits} onInput=${change} /></div>`;
}

/** One of several values. `options` maps each value to what the user reads, or is a list of values. */
export function Choice({ id, label, value, options, onChange }) {
  const entries = Array.isArray(options) ? options.map((option) => [option, option]) : Object.entries(options);
  return html`<div class="field"><label for=${id}>${label}</label>
    <select id=${id} value=${value} onChange=${({ target }) => onChange(target.value)}>
      ${entries.map(([option, title]) => html`<option key=${option} value=${option}>${title}</option>`)}
    </select></div>`;
}
