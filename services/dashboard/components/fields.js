// The fields of forms: each has a label, and tells its value to `onChange`.

import { html } from "../vendor/htm-preact-standalone.module.js";

/**
 * A field for a number. `onChange` gets the number, or "" while the field is empty. Further properties, such as `min`,
 * are those of the `<input>`.
 * @param {{id: string, label: string, value: number|string, hint?: string, isOptional?: boolean,
 *   onChange: function(number|string): void}} props
 */
export function NumberField({ id, label, value, hint, isOptional, onChange, ...limits }) {
  const change = ({ target }) => onChange(target.value === "" ? "" : target.valueAsNumber);
  return html`<div class="field"><label for=${id}>${label}</label>
    <input id=${id} type="number" required=${!isOptional} value=${value} aria-describedby=${hint ? `${id}-hint` : null} onInput=${change} ...${limits} />
    ${hint && html`<p class="field-hint" id=${`${id}-hint`}>${hint}</p>`}</div>`;
}

/**
 * A choice of one option from a list that opens.
 * @param {{id: string, label: string, value: string, options: Array<string|[string, string]>,
 *   onChange: function(string): void}} props an option is a value, or a value and what the user reads.
 */
export function Choice({ id, label, value, options, onChange }) {
  return html`<div class="field"><label for=${id}>${label}</label>
    <select id=${id} value=${value} onChange=${({ target }) => onChange(target.value)}>
      ${options.map((option) => [option].flat()).map(([name, title = name]) => html`<option key=${name} value=${name}>${title}</option>`)}
    </select></div>`;
}
