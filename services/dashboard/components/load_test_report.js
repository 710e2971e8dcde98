// The report of a load test that has succeeded: the claims, warnings, figures, charts and conditions.

import { html } from "../vendor/htm-preact-standalone.module.js";
import { bytes, number, t } from "../texts.js";
import { BackendName, colourOfBackend } from "./backends.js";
import { LoadTestCharts, TimeSplit } from "./load_test_charts.js";
import { describeCertainty, describeClaim, placeOfSide, titleOfSide } from "./load_test_words.js";

/** Show the report of a load test, the body of GET /v1/loadtests/{id}. */
export function LoadTestReport({ test }) {
  const places = Object.fromEntries(Object.keys(test.results).map((side) => [side, placeOfSide(side, test.conditions.backends)]));
  return html`
    <${Claims} test=${test} />
    <${Warnings} test=${test} />
    <${Figures} test=${test} places=${places} />
    <${LoadTestCharts} test=${test} places=${places} />
    <${TimeSplit} test=${test} places=${places} />
    <${Conditions} test=${test} />`;
}

/** The name of a side with its colour. */
export function SideName({ side, place }) {
  if (!side.endsWith(" again")) return html`<${BackendName} backend=${side} index=${place} />`;
  return html`<span class="backend-name"><span class="swatch" style=${{ background: `var(${colourOfBackend(place)})` }}></span>${titleOfSide(side)}</span>`;
}

function Claims({ test }) {
  return html`
    <section class="load-claims" aria-label=${t("load.result")}>
      ${test.comparisons.map((pair) => html`<p class="load-claim" key=${pair.backends.join()}>${describeClaim(pair)}
        <small>${describeCertainty(pair)}</small></p>`)}
      ${Object.entries(test.largest_qps).map(([side, { value, low, high }]) => html`
        <p class="load-claim" key=${side}>${t("load.largest", { side: titleOfSide(side), rate: number(value, 1), bound: number(test.request.latency_bound_ms) })}
          <small>${low !== null && t("load.largest-interval", { low: number(low, 1), high: number(high, 1) })}</small></p>`)}
      ${!test.comparisons.length && !Object.keys(test.largest_qps).length && html`<p class="load-claim">${t("load.one-side")}</p>`}
    </section>`;
}

function Warnings({ test }) {
  return html`
    ${!test.valid && html`
      <section class="load-warning" aria-labelledby="load-invalid">
        <h2 id="load-invalid">${t("load.not-valid")}</h2>
        <p>${t("load.not-valid-hint")}</p>
        <ul lang="en">${(test.invalid_reason ?? "").split("; ").map((reason) => html`<li key=${reason}>${reason}</li>`)}</ul>
      </section>`}
    ${test.conditions.overlapped && html`<p class="load-warning">${t("load.overlapped")}</p>`}`;
}

const MS = (value) => (value === null ? "–" : `${number(value, 2)} ms`);
const PER_S = (value) => `${number(value, 1)}/s`;

/** Rows of the table: text, the figure that it shows, and how the figure is written. */
const ROWS = [
  ["load.p50", "p50_ms", MS],
  ["load.p90", "p90_ms", MS],
  ["load.p99", "p99_ms", MS],
  ["load.p999", "p999_ms", MS],
  ["load.achieved", "achieved_qps", PER_S],
  ["load.requests", "queries", (value) => number(value)],
  ["load.errors", "errors", describeErrors],
  ["load.meets-bound", "meets_bound", (value) => t(value ? "load.yes" : "load.no")],
  ["load.cpu", "cpu_seconds_per_1000", (value) => (value === null ? "–" : `${number(value, 2)} s`)],
  ["load.memory", "peak_memory_bytes", (value) => (value === null ? "–" : bytes(value))],
  ["load.late", "late_p99_ms", MS],
  ["load.valid", "valid", (value) => t(value ? "load.yes" : "load.no")],
];

function describeErrors(errors) {
  return Object.entries(errors).map(([kind, count]) => `${number(count)} ${kind}`).join(", ") || "0";
}

/** One table for each rate: the sides are its columns, so that it fits a narrow screen. */
function Figures({ test, places }) {
  const sides = Object.entries(test.results);
  const rates = [...new Set(sides.flatMap(([, results]) => results.map(({ target_qps }) => target_qps)))];
  return html`
    <section aria-labelledby="load-figures">
      <h2 id="load-figures">${t("load.figures")}</h2>
      <div class="load-tables">
        ${rates.map((rate) => html`<${RateTable} key=${rate} rate=${rate} places=${places} bound=${test.request.latency_bound_ms}
          columns=${sides.map(([side, results]) => [side, results.find(({ target_qps }) => target_qps === rate)]).filter(([, result]) => result)} />`)}
      </div>
      <p class="field-hint">${t("load.figures-hint")}</p>
    </section>`;
}

function RateTable({ rate, columns, places, bound }) {
  const title = rate === null ? t("load.all-requests") : t("load.at-rate-title", { rate: number(rate, rate % 1 ? 1 : 0) });
  const rows = ROWS.filter(([, name]) => name !== "p999_ms" || columns.some(([, result]) => result.p999_ms !== null));
  return html`
    <div class="scroll" tabindex="0" role="region" aria-label=${title}>
      <table class="wide">
        <caption>${title}</caption>
        <thead><tr><td></td>${columns.map(([side]) => html`<th scope="col" class="figure" key=${side}>
          <${SideName} side=${side} place=${places[side]} /></th>`)}</tr></thead>
        <tbody>${rows.map(([key, name, format]) => html`<tr key=${key}><th scope="row">${t(key, { bound: number(bound) })}</th>
          ${columns.map(([side, result]) => html`<td class="figure" key=${side}>${format(result[name])}
            <${Ends} ends=${result.intervals[name]} /></td>`)}</tr>`)}</tbody>
      </table>
    </div>`;
}

function Ends({ ends }) {
  return ends ? html`<small>${t("load.interval", { low: number(ends[0], 1), high: number(ends[1], 1) })}</small>` : null;
}

/** With what and where was measured. Conditions have the names that the API gives them. */
function Conditions({ test }) {
  const { models, versions, threads, backends, overlapped, shared_machine, ...others } = test.conditions;
  const listed = [
    ...Object.entries(versions).map(([side, found]) => [titleOfSide(side),
      [...Object.entries(found).map(([name, version]) => `${name} ${version}`), t("load.threads", { count: threads[side] ?? "–" })].join(", ")]),
    ...Object.entries({ ...others, seed: test.request.seed }),
  ];
  return html`
    <section aria-labelledby="load-conditions">
      <h2 id="load-conditions">${t("load.conditions")}</h2>
      <p>${t(shared_machine ? "load.shared-machine" : "load.own-machine")} ${t("load.note")}</p>
      <dl class="load-conditions">${listed.map(([name, value]) => html`<div key=${name}><dt>${name.replaceAll("_", " ")}</dt><dd>${String(value)}</dd></div>`)}</dl>
    </section>`;
}
