// One load test: its progress while it runs, its report once it has succeeded.

import { html, useState } from "../vendor/htm-preact-standalone.module.js";
import { api } from "../api.js";
import { bytes, number, t } from "../texts.js";
import { BackendName } from "./backends.js";
import { Facts } from "./facts.js";
import { JobTable } from "./job_list.js";
import { JobPage } from "./job_page.js";
import { describeClaim, describeRequest, titleOfSide, writeMs, writeRate } from "./load_test_words.js";
import { Picture } from "./picture.js";
import { ProgressBar } from "./progress_bar.js";
import { Failure, Status } from "./states.js";

/** Show the load test with an id, and follow it until it ends. */
export function LoadTest({ id }) {
  return html`<${JobPage} kind="loadtest" id=${id} earlier=${t("load.earlier")} describe=${({ request }) => describeRequest(request)}
    show=${(test, path) => html`
      ${test.status === "running" && html`<${Progress} progress=${test.progress} />`}
      ${test.status === "succeeded" && html`<${Report} test=${test} path=${path} />`}`} />`;
}

function Progress({ progress }) {
  if (!progress) return html`<p role="status">${t("load.preparing")}</p>`;
  return html`<div><p>${t("load.blocks", progress)} <small lang="en">${progress.doing}</small></p>
    <${ProgressBar} label=${t("load.test")} ...${progress} /></div>`;
}

/** The claims, warnings, figures, charts and conditions of a load test that has succeeded. */
function Report({ test, path }) {
  const [refusal, setRefusal] = useState(null);
  const { versions, models, ...conditions } = test.conditions;
  const predictors = conditions.predictors ?? {}; // older results have none
  const rates = [...new Set(Object.values(test.results).flat().map(({ target_qps }) => target_qps))];
  const claims = [
    ...test.comparisons.map(describeClaim),
    ...Object.entries(test.largest_qps).map(([side, { value, low, high }]) =>
      `${t("load.largest", { side: titleOfSide(side), rate: writeRate(value), bound: test.request.latency_bound_ms })}${
        low === null ? "" : ` (${writeRate(low)} – ${writeRate(high)})`}`),
  ];
  const download = (suffix) => api.download(`${path}/report.${suffix}`, `load-test-${test.model}-${test.version}.${suffix}`)
    .then(() => setRefusal(null), setRefusal);
  return html`
    ${claims.length > 0 && html`<section class="load-claims" aria-label=${t("load.result")}>${claims.map((claim) => html`<p>${claim}</p>`)}</section>`}
    ${!test.valid && html`<p class="warning">${t("load.not-valid")}: <span lang="en">${test.invalid_reason}</span></p>`}
    ${test.conditions.overlapped && html`<p class="warning">${t("load.overlapped")}</p>`}
    ${new Set(Object.values(predictors)).size > 1 && html`<p class="warning">${t("load.predictors-differ", {
      predictors: Object.entries(predictors).map(([side, count]) => `${titleOfSide(side)} ${count}`).join(", "),
    })}</p>`}
    <div class="columns equal">${rates.map((rate) => html`<${RateTable} rate=${rate} test=${test} />`)}</div>
    <p class="field-hint">${t("load.figures-hint")}</p>
    <div class="samples"><${Picture} path=${`${path}/report.png`} alt=${t("load.charts")} /></div>
    <div class="row">${t("load.files")}${["html", "png", "csv"].map((suffix) => html`
      <button type="button" onClick=${() => download(suffix)}>${suffix.toUpperCase()}</button>`)}</div>
    ${refusal && html`<${Failure} error=${refusal} />`}
    <${Facts} title=${t("load.conditions")} facts=${{ ...conditions, ...versions, seed: test.request.seed, note: test.note }} />`;
}

/** Rows of a table: title, figure, and how the figure is written. */
const ROWS = [
  ["load.p50_ms", "p50_ms", writeMs],
  ["load.p90_ms", "p90_ms", writeMs],
  ["load.p99_ms", "p99_ms", writeMs],
  ["load.achieved_qps", "achieved_qps", writeRate],
  ["load.requests", "queries", number],
  ["load.errors", "errors", (errors) => Object.entries(errors).map(([kind, count]) => `${count} ${kind}`).join(", ") || "0"],
  ["load.meets-bound", "meets_bound", (value) => html`<${Status} status=${value ? "succeeded" : "failed"} />`],
  ["load.cpu", "cpu_seconds_per_1000", (value) => `${number(value, 2)} s`],
  ["load.memory", "peak_memory_bytes", (value) => (value === null ? "–" : bytes(value))],
];

/** The figures at one rate: the sides are the columns, so that the table fits a narrow screen. */
function RateTable({ rate, test }) {
  const { backends } = test.conditions;
  const title = rate === null ? t("load.requests") : t("load.at-rate", { rate: writeRate(rate) });
  const columns = Object.entries(test.results).map(([side, results]) => [side, results.find(({ target_qps }) => target_qps === rate)])
    .filter(([, result]) => result).map(([side, result]) => ({
      title: backends.includes(side) ? html`<${BackendName} backend=${side} index=${backends.indexOf(side)} />` : titleOfSide(side),
      className: "figure",
      cell: ({ id, write }) => html`${write(result[id])}
        ${result.intervals[id] && html`<br /><small>${result.intervals[id].map((end) => number(end, 1)).join(" – ")}</small>`}`,
    }));
  columns.unshift({ title: t("chart.table"), cell: ({ key }) => t(key, { bound: test.request.latency_bound_ms }) });
  return html`<section><h2>${title}</h2><${JobTable} title=${title} columns=${columns} jobs=${ROWS.map(([key, id, write]) => ({ key, id, write }))} /></section>`;
}
