// The figures of an evaluation by class: confusion matrices side by side, precision, recall and F1.

import { html } from "../vendor/htm-preact-standalone.module.js";
import { percent, t } from "../texts.js";
import { BackendName, colourOfBackend, titleOf } from "./backends.js";

const STRONGEST = 45; // per cent of the backend's colour, so that text on it stays readable

/** A confusion matrix per backend. Colours show the share of a row's pictures; the numbers are counts. */
export function ConfusionMatrices({ results }) {
  return html`
    <section aria-labelledby="compare-confusion">
      <h2 id="compare-confusion">${t("compare.confusion")}</h2>
      <p class="soft">${t("compare.confusion-hint")}</p>
      <div class="columns equal">${results.map((result) => html`<${Matrix} key=${result.backend} result=${result} />`)}</div>
    </section>`;
}

function Matrix({ result }) {
  const { backend, index, confusion } = result;
  const names = result.per_class.map((each) => each.class);
  const hasLongNames = names.some((name) => name.length > 3);
  const caption = t("compare.confusion-of", { backend: titleOf(backend) });
  return html`
    <figure class="compare-matrix">
      <figcaption><${BackendName} backend=${backend} index=${index} /></figcaption>
      <div class="scroll" tabindex="0" role="region" aria-label=${caption}>
        <table class=${hasLongNames ? "long-names" : null} style=${{ "--colour": `var(${colourOfBackend(index)})` }}>
          <caption class="hidden">${caption}</caption>
          <thead><tr><th scope="col"><small>${t("compare.true-predicted")}</small></th>
            ${names.map((name) => html`<th key=${name} scope="col"><span>${name}</span></th>`)}</tr></thead>
          <tbody>${confusion.map((counts, row) => html`<tr key=${names[row]}><th scope="row">${names[row]}</th>
            ${counts.map((count, column) => html`<td key=${column} class=${cellClass(count, row === column)}
              style=${{ "--share": `${shareOf(count, counts)}%` }}>${count}</td>`)}</tr>`)}</tbody>
        </table>
      </div>
    </figure>`;
}

function cellClass(count, isRight) {
  return [isRight && "right", count === 0 && "zero"].filter(Boolean).join(" ");
}

/** Return how strong a cell's colour is. The square root makes rare mistakes visible. */
function shareOf(count, row) {
  const total = row.reduce((sum, each) => sum + each, 0);
  return total ? Math.round(STRONGEST * Math.sqrt(count / total)) : 0;
}

/** Precision, recall and F1 of each class, for every backend. */
export function ClassFigures({ results }) {
  const figures = ["precision", "recall", "f1"];
  return html`
    <div>
      <h2 id="compare-classes">${t("compare.classes")}</h2>
      <div class="scroll" tabindex="0" role="region" aria-labelledby="compare-classes">
        <table class="compare-classes">
          <caption class="hidden">${t("compare.classes")}</caption>
          <thead>
            <tr><td rowspan="2"></td>${results.map(({ backend, index }) => html`<th key=${backend} scope="colgroup" colspan="3">
              <${BackendName} backend=${backend} index=${index} /></th>`)}</tr>
            <tr>${results.flatMap(({ backend }) => figures.map((figure) => html`<th key=${backend + figure} scope="col" class="figure">${t(`compare.figure-${figure}`)}</th>`))}</tr>
          </thead>
          <tbody>${results[0].per_class.map((each, row) => html`<tr key=${each.class}><th scope="row">${each.class}</th>
            ${results.flatMap(({ backend, per_class: classes }) => figures.map((figure) =>
              html`<td key=${backend + figure} class="figure">${percent(classes[row][figure], 1)}</td>`))}</tr>`)}</tbody>
        </table>
      </div>
    </div>`;
}
