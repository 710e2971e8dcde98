// The charts of a load test: latency by rate, its distribution, latency over time, and where the time was spent.

import { html } from "../vendor/htm-preact-standalone.module.js";
import { number, t } from "../texts.js";
import { colourOfBackend } from "./backends.js";
import { Chart } from "./chart.js";
import { titleOfSide } from "./load_test_words.js";

const DASHED = [6, 4];

/** Draw the charts. `places` has the place of each side's colour. */
export function LoadTestCharts({ test, places }) {
  const sides = Object.entries(test.results).map(([side, found]) => {
    const results = found.filter(({ p50_ms }) => p50_ms !== null);
    return { side, title: titleOfSide(side), colour: colourOfBackend(places[side]), results, detailed: detailedOf(test, results) };
  }).filter(({ results }) => results.length);
  if (!sides.length) return null;
  return html`
    <section aria-labelledby="load-charts">
      <h2 id="load-charts">${t("load.charts")}</h2>
      <div class="columns equal">
        <${LatencyByRate} sides=${sides} />
        <${Distribution} sides=${sides} />
        <${LatencyOverTime} sides=${sides} />
      </div>
    </section>`;
}

/** Return the result that is drawn in detail: at the rate of the claim, else at the highest rate. */
function detailedOf(test, results) {
  const claimed = test.comparisons[0]?.target_qps ?? null;
  return results.findLast(({ target_qps }) => target_qps === claimed) ?? results.at(-1);
}

function rateOf({ target_qps, achieved_qps }) {
  return Math.round((target_qps ?? achieved_qps) * 10) / 10;
}

/** Return a line whose values are at `xs`, from pairs of x and value. */
function lineOf(side, label, xs, pairs, options = {}) {
  const byX = new Map(pairs);
  return { label, colour: side.colour, format: (value) => number(value, value < 10 ? 1 : 0), values: xs.map((x) => byX.get(x) ?? null), ...options };
}

function sorted(values) {
  return [...new Set(values)].sort((a, b) => a - b);
}

function LatencyByRate({ sides }) {
  const xs = sorted(sides.flatMap(({ results }) => results.map(rateOf)));
  if (xs.length < 2) return null;
  const lines = ["p50", "p99"].flatMap((figure) => sides.map((side) =>
    lineOf(side, `${side.title}, ${figure}`, xs, side.results.map((result) => [rateOf(result), result[`${figure}_ms`]]), figure === "p99" ? { dash: DASHED } : {})));
  return html`<${Chart} title=${t("load.by-rate")} xLabel=${t("load.by-rate-x")} xs=${xs} lines=${lines} isLogarithmic />`;
}

function Distribution({ sides }) {
  const drawn = sides.filter(({ detailed }) => detailed.distribution);
  const pairsOf = ({ detailed: { distribution } }) =>
    distribution.levels.map((level, index) => [Math.round(level * 1e5) / 1e3, distribution.latency_ms[index]]);
  const xs = sorted(drawn.flatMap((side) => pairsOf(side).map(([x]) => x)));
  if (!xs.length) return null;
  const lines = drawn.map((side) => lineOf(side, labelOf(side), xs, pairsOf(side)));
  return html`<${Chart} title=${t("load.distribution")} xLabel=${t("load.distribution-x")} xs=${xs} lines=${lines} isLogarithmic />`;
}

function LatencyOverTime({ sides }) {
  const points = sides.map(({ results }) => results.flatMap(({ over_time }) => over_time));
  const xs = sorted(points.flat().map(({ at_s }) => at_s));
  if (xs.length < 2) return null;
  const lines = ["p50_ms", "max_ms"].flatMap((figure) => sides.map((side, index) =>
    lineOf(side, `${side.title}, ${t(`load.${figure}`)}`, xs, points[index].map((point) => [point.at_s, point[figure]]), figure === "max_ms" ? { dash: [2, 4], width: 1 } : {})));
  return html`<${Chart} title=${t("load.over-time")} xLabel=${t("load.over-time-x")} xs=${xs} lines=${lines} isLogarithmic />`;
}

function labelOf({ title, detailed }) {
  return detailed.target_qps ? t("load.side-at-rate", { side: title, rate: number(detailed.target_qps, detailed.target_qps % 1 ? 1 : 0) }) : title;
}

/** Where the time of a request was spent: the mean of each part, with a bar for each side. */
export function TimeSplit({ test, places }) {
  const sides = Object.entries(test.results)
    .map(([side, results]) => [side, detailedOf(test, results.filter(({ time_split_ms }) => Object.keys(time_split_ms).length))])
    .filter(([, detailed]) => detailed);
  if (!sides.length) return null;
  const parts = Object.keys(sides[0][1].time_split_ms);
  const largest = Math.max(...sides.flatMap(([, { time_split_ms }]) => Object.values(time_split_ms)), 0.001);
  const sumOf = ({ time_split_ms }) => Object.values(time_split_ms).reduce((sum, value) => sum + value, 0);
  return html`
    <section aria-labelledby="load-split">
      <h2 id="load-split">${t("load.split")}</h2>
      <p class="soft">${t("load.split-hint")}</p>
      <table class="load-split wide">
        <caption class="hidden">${t("load.split")}</caption>
        <thead><tr><td></td>${sides.map(([side, detailed]) => html`<th scope="col" key=${side}>
          ${labelOf({ title: titleOfSide(side), detailed })}</th>`)}</tr></thead>
        <tbody>${parts.map((part) => html`<tr key=${part}>
          <th scope="row">${t(`load.part-${part}`)}</th>
          ${sides.map(([side, { time_split_ms }]) => html`<td key=${side}>${number(time_split_ms[part], 2)} ms
            <span class="bar"><span style=${{ width: `${(100 * time_split_ms[part]) / largest}%`, background: `var(${colourOfBackend(places[side])})` }}></span></span></td>`)}
        </tr>`)}</tbody>
        <tfoot><tr><th scope="row">${t("load.split-sum")}</th>${sides.map(([side, detailed]) => html`<td key=${side}>${number(sumOf(detailed), 2)} ms</td>`)}</tr></tfoot>
      </table>
    </section>`;
}
