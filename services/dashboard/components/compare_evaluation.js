// An evaluation: the state of each backend, its accuracy with an interval, and every pair of backends.

import { html } from "../vendor/htm-preact-standalone.module.js";
import { number, percent, t, time } from "../texts.js";
import { BackendName, colourOfBackend } from "./backends.js";
import { ClassFigures, ConfusionMatrices } from "./compare_classes.js";
import { Pair } from "./compare_pair.js";
import { Status } from "./states.js";

const Z = 1.959964; // the normal distribution's 97.5 % quantile

/** Show an evaluation as the API returns it. `order` has all backends; `training` made the models, or is null. */
export function Evaluation({ evaluation, order, training }) {
  const results = Object.entries(evaluation.results).map(([backend, result]) => ({ backend, index: order.indexOf(backend), ...result }));
  const done = results.filter(({ confusion }) => confusion);
  return html`
    <section class="stack" aria-labelledby="compare-accuracies">
      <div class="row">
        <h2 id="compare-accuracies">${t("compare.accuracies", evaluation)}</h2>
        <${Status} status=${evaluation.status} /><span class="soft">${time(evaluation.created_at)}</span>
      </div>
      ${results.filter(({ confusion }) => !confusion).map(({ backend, index, status, error }) => html`<p key=${backend} class="row">
        <${BackendName} backend=${backend} index=${index} /><${Status} status=${status} />${error && html`<span class="field-error">${error}</span>`}</p>`)}
      ${results.flatMap(({ warnings }) => warnings).map((warning) => html`<p key=${warning} class="soft">${warning}</p>`)}
      ${done.length > 0 && html`<${Accuracies} results=${done} />`}
    </section>
    ${evaluation.comparisons.map((pair) => html`<${Pair} key=${pair.backends.join()} pair=${pair} evaluation=${evaluation} order=${order}
      training=${training} classes=${done[0].per_class.map((each) => each.class)} />`)}
    ${done.length > 0 && html`<${ConfusionMatrices} results=${done} /><${ClassFigures} results=${done} />`}`;
}

/** A row per backend: the accuracy, its 95 % interval as numbers and as a bar on a scale that all rows share. */
function Accuracies({ results }) {
  const rows = results.map((result) => {
    const examples = result.confusion.flat().reduce((sum, count) => sum + count, 0);
    const [low, high] = wilsonInterval(result.accuracy, examples);
    return { ...result, examples, low, high };
  });
  const start = Math.min(...rows.map(({ low }) => low));
  const span = Math.max(...rows.map(({ high }) => high)) - start || 1;
  const place = (value) => `${(100 * (value - start)) / span}%`;
  return html`
    <div class="scroll" tabindex="0" role="region" aria-label=${t("compare.accuracy")}>
    <table class="compare-accuracies">
      <caption class="hidden">${t("compare.accuracy")}</caption>
      <thead><tr><th scope="col">${t("compare.backend")}</th><th scope="col" class="figure">${t("compare.accuracy")}</th>
        <th scope="col" class="figure">${t("compare.interval")}</th><td class="compare-scale"></td>
        <th scope="col" class="figure">${t("compare.loss")}</th><th scope="col" class="figure">${t("compare.pictures")}</th></tr></thead>
      <tbody>${rows.map((row) => html`<tr key=${row.backend}>
        <th scope="row"><${BackendName} backend=${row.backend} index=${row.index} /></th>
        <td class="figure"><strong>${percent(row.accuracy)}</strong></td>
        <td class="figure">${percent(row.low)} – ${percent(row.high)}</td>
        <td class="compare-scale"><div class="compare-interval" aria-hidden="true" style=${{ "--colour": `var(${colourOfBackend(row.index)})` }}>
          <span style=${{ left: place(row.low), right: `calc(100% - ${place(row.high)})` }}></span><i style=${{ left: place(row.accuracy) }}></i></div></td>
        <td class="figure">${number(row.loss, 4)}</td><td class="figure">${number(row.examples)}</td></tr>`)}</tbody>
    </table></div>
    <p class="soft">${t("compare.interval-hint")}</p>`;
}

/**
 * Return Wilson's 95 % interval of a fraction (Wilson 1927).
 * @param {number} fraction of successes. @param {number} count of trials. @returns {number[]} [low, high].
 */
export function wilsonInterval(fraction, count) {
  const scale = 1 + Z ** 2 / count;
  const middle = (fraction + Z ** 2 / (2 * count)) / scale;
  const half = (Z / scale) * Math.sqrt((fraction * (1 - fraction)) / count + Z ** 2 / (4 * count ** 2));
  return [Math.max(0, middle - half), Math.min(1, middle + half)];
}
