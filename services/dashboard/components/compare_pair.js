// Two backends on the same pictures: the difference of their accuracies, McNemar's test in words, the difference of
// their weights, and the pictures on which they disagree.

import { html, useState } from "../vendor/htm-preact-standalone.module.js";
import { number, percent, t } from "../texts.js";
import { BackendName, titleOf } from "./backends.js";
import { Picture } from "./picture.js";

const FIRST = 12; // pictures that are shown before the user asks for all
const CERTAIN = 0.05; // below this p-value a difference is called larger than chance

/** One pair of an evaluation. `classes` are the names of the classes; `training` made the models, or is null. */
export function Pair({ pair, evaluation, order, training, classes }) {
  const [first, second] = pair.backends.map(titleOf);
  const weights = weightDifference(pair, training);
  return html`
    <section class="panel stack" aria-label=${t("compare.pair", { first, second })}>
      <h2>${t("compare.pair", { first, second })}</h2>
      <ul class="compare-facts">
        <li><strong>${describeAccuracies(pair, first, second)}</strong></li>
        <li>${describeTest(pair, first, second)}</li>
        <li>${t("compare.agreement", { agreement: percent(pair.agreement) })} ${t("compare.probability", { difference: tiny(pair.max_probability_difference) })}</li>
        ${weights && html`<li>${weights}</li>`}
        ${pair.notes.map((note) => html`<li key=${note}>${note}</li>`)}
      </ul>
      <${Disagreements} pair=${pair} evaluation=${evaluation} order=${order} classes=${classes} />
    </section>`;
}

function describeAccuracies(pair, first, second) {
  const { value, low, high } = pair.accuracy_difference;
  const points = (fraction) => number(100 * fraction, 2);
  if (value === 0) return t("compare.same-accuracy", { first, second, low: points(low), high: points(high) });
  const isFirst = value > 0;
  return t("compare.higher-accuracy", {
    better: isFirst ? first : second,
    worse: isFirst ? second : first,
    value: points(Math.abs(value)),
    low: points(isFirst ? low : -high),
    high: points(isFirst ? high : -low),
  });
}

function describeTest(pair, first, second) {
  const [one, other] = pair.backends.map((backend) => pair.mcnemar.only[backend]);
  if (one + other === 0) return t("compare.mcnemar-none", { first, second });
  const p = pair.mcnemar.p_value;
  const counts = t("compare.mcnemar-counts", { first, second, one: number(one), other: number(other) });
  return `${counts} ${t(p < CERTAIN ? "compare.mcnemar-real" : "compare.mcnemar-chance", { p: p < 0.001 ? tiny(p) : number(p, p < 0.1 ? 3 : 2) })}`;
}

/** Return a sentence about the weights after the training that made these models, if it is known. */
function weightDifference(pair, training) {
  if (!training) return null;
  if (training.request.pairing === "native") return t("compare.native");
  const found = training.comparisons.find(({ backends }) => backends.join() === pair.backends.join());
  return found?.max_weight_difference == null ? null : t("compare.weights", { difference: tiny(found.max_weight_difference) });
}

function tiny(value) {
  return value !== 0 && Math.abs(value) < 0.001 ? value.toExponential(1) : number(value, 4);
}

/** The pictures that got different classes, each with its true class and every answer. */
function Disagreements({ pair, evaluation, order, classes }) {
  const [isOpen, setOpen] = useState(false);
  const { disagreements, backends } = pair;
  if (disagreements.length === 0) return html`<p>${t("compare.no-disagreement")}</p>`;
  const shown = isOpen ? disagreements : disagreements.slice(0, FIRST);
  const folder = `/v1/datasets/${encodeURIComponent(evaluation.dataset)}/pictures/${evaluation.split}`;
  return html`
    <h3>${t("compare.disagreements")}</h3>
    <ul class="compare-pictures">
      ${shown.map((each) => html`<li key=${each.index}>
        <${Picture} path=${`${folder}/${each.index}.png`} width="64" height="64" isPixelated
          alt=${t("compare.picture", { index: each.index, label: classes[each.label] })} />
        <dl><div><dt>${t("compare.label")}</dt><dd>${classes[each.label]}</dd></div>
          ${backends.map((backend) => html`<div key=${backend}><dt><${BackendName} backend=${backend} index=${order.indexOf(backend)} /></dt>
            <dd>${classes[each[backend]]} <${Mark} isRight=${each[backend] === each.label} /></dd></div>`)}</dl>
      </li>`)}
    </ul>
    ${disagreements.length > shown.length && html`<button type="button" onClick=${() => setOpen(true)}>${t("compare.show-all", { count: disagreements.length })}</button>`}`;
}

function Mark({ isRight }) {
  return html`<span class=${isRight ? "compare-right" : "compare-wrong"} role="img" aria-label=${t(isRight ? "compare.right" : "compare.wrong")}>${isRight ? "✓" : "✕"}</span>`;
}
