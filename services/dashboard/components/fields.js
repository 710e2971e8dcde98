// Fields of a form: a number, and a choice among a few options.

import { html } from "../vendor/htm-preact-standalone.module.js";

/**
 * A field for a number. `onChange` gets the number, or "" while the field is empty. Further properties, such as `min`,
 * are those of the `<input>`.
 * @param {{id: string, label: string, value: number|string, hint?: string, onChange: function(number|string): void}} props
 */
export function NumberField({ id, label, value, hint, onChange, ...limits }) {
  const change = (event) => onChange(event.target.value === "" ? "" : event.target.valueAsNumber);
  return html`<div class="field"><label for=${id}>${label}</label>
    <input id=${id} type="number" required value=${value} aria-describedby=${hint ? `${id}-hint` : null} onInput=${change} ...${limits} />
    ${hint && html`<p class="field-hint" id=${`${id}-hint`}>${hint}</p>`}</div>`;
}

/**
 * A choice of one option from a list that opens.
 * @param {{id: string, label: string, value: string, options: Array<[string, string]>, onChange: function(string): void}} props
 *   `options` has the value and the title of each option.
 */
export function Choice({ id, label, value, options, onChange }) {
  return html`<div class="field"><label for=${id}>${label}</label>
    <select id=${id} value=${value} onChange=${(event) => onChange(event.target.value)}>
      ${options.map(([option, title]) => html`<option key=${option} value=${option}>${title}</option>`)}
    </select></div>`;
}
