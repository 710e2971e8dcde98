// The probabilities of several models as bars: one group per class, one bar per model.

import { html } from "../vendor/htm-preact-standalone.module.js";
import { percent, t } from "../texts.js";

const MOST_CLASSES = 20;

/**
 * Show probabilities as bars, with a table of the same figures.
 * @param {Object} props
 * @param {string[]} props.classes
 * @param {{key: string, title: string, mark: Object, probabilities: number[]}[]} props.contenders `mark` is the props of
 *   the element that shows its colour and pattern.
 */
export function Bars({ classes, contenders }) {
  const likelihood = classes.map((_, label) => Math.max(0, ...contenders.map(({ probabilities }) => probabilities[label])));
  const threshold = likelihood.toSorted((one, other) => other - one)[MOST_CLASSES] ?? -1;
  const shown = classes.map((name, label) => ({ name, label })).filter(({ label }) => likelihood[label] > threshold);
  return html`
    <div class="bars" aria-hidden="true">
      ${shown.map(({ name, label }) => html`
        <div class="bars-class" key=${label}>
          <span class="bars-name">${name}</span>
          <span class="bars-group">
            ${contenders.map(({ key, mark, probabilities }) => html`<span key=${key} class=${`bars-bar ${mark.class}`}
              style=${{ ...mark.style, width: `${100 * probabilities[label]}%` }}></span>`)}
          </span>
        </div>`)}
    </div>
    ${shown.length < classes.length && html`<p class="soft">${t("draw.some-classes", { count: shown.length, all: classes.length })}</p>`}
    <details class="figures">
      <summary>${t("draw.figures")}</summary>
      <div class="scroll" tabindex="0" role="region" aria-label=${t("draw.figures")}>
        <table>
          <thead><tr><th scope="col">${t("draw.class")}</th>${contenders.map(({ key, title }) => html`<th key=${key} scope="col" class="figure">${title}</th>`)}</tr></thead>
          <tbody>${classes.map((name, label) => html`
            <tr key=${label}><th scope="row">${name}</th>${contenders.map(({ key, probabilities }) => html`<td key=${key} class="figure">${percent(probabilities[label], 4)}</td>`)}</tr>`)}
          </tbody>
        </table>
      </div>
    </details>`;
}
