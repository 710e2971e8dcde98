// Named values as the API has them, behind a heading that opens.

import { html } from "../vendor/htm-preact-standalone.module.js";

/** Show an object of values, lists and objects. The names are the API's, so they are English. */
export function Facts({ title, facts }) {
  return html`<details><summary>${title}</summary>
    <dl lang="en">${Object.entries(facts).map(([name, value]) => html`<dt>${name.replaceAll("_", " ")}</dt><dd>${describe(value)}</dd>`)}</dl></details>`;
}

function describe(value) {
  if (value === null || typeof value !== "object") return String(value);
  if (Array.isArray(value)) return value.map(describe).join(", ");
  return Object.entries(value).map(([name, each]) => `${name} ${describe(each)}`).join(", ");
}
