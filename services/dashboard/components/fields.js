// The fields of forms: each has a label, and tells its value to `onChange`.

import { html } from "../vendor/htm-preact-standalone.module.js";
import { t } from "../texts.js";

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

/** A field for the name of a model. It may stay empty. */
export function NameField({ value, onChange }) {
  return html`<div class="field"><label for="name">${t("train.name")}</label>
    <input id="name" value=${value} maxlength="63" pattern="[a-z0-9][a-z0-9_\\-]*" title=${t("train.name-rule")}
      onInput=${({ target }) => onChange(target.value)} /></div>`;
}

/**
 * An editor for JSON, and below it what is wrong with the text. `onChange` gets the text.
 * @param {{id: string, label: string, value: string, message?: string, onChange: function(string): void}} props
 */
export function JsonField({ id, label, value, message, onChange }) {
  return html`<textarea class="code" rows="12" spellcheck="false" aria-label=${label} value=${value} aria-invalid=${Boolean(message)}
      aria-describedby=${`${id}-error`} onInput=${({ target }) => onChange(target.value)}></textarea>
    <p id=${`${id}-error`} class="field-error" role="status">${message}</p>`;
}

/**
 * Parse what a user has written into a JsonField.
 * @returns {{value: any, problem: string|null}} `problem` says why the text is not JSON.
 */
export function parseJson(text) {
  try {
    return { value: JSON.parse(text), problem: null };
  } catch (error) {
    return { value: null, problem: t("train.not-json", { reason: error.message }) };
  }
}
