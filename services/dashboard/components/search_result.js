// What a search has found so far: its trials, the best value by epochs, whether the backends agree, and the winner.

import { html, useState } from "../vendor/htm-preact-standalone.module.js";
import { api } from "../api.js";
import { hasEnded } from "../live.js";
import { addressOf } from "../router.js";
import { number, percent, t } from "../texts.js";
import { BackendName, titleOf } from "./backends.js";
import { Chart } from "./chart.js";
import { JobTable } from "./job_list.js";
import { ProgressBar } from "./progress_bar.js";
import { Empty, Failure, Status } from "./states.js";

const SMALLEST = 0.005; // share of a setting that is worth a word
const FIRST = 30; // trials that are shown before the user asks for all

/** Show a search of GET /v1/searches/{id}. */
export function SearchResult({ search, path }) {
  const { progress, trials, winner, agreement, importance } = search;
  const [refusal, setRefusal] = useState(null);
  const download = () => api.download(`${path}/report.html`, `${search.name}.html`).then(() => setRefusal(null), setRefusal);
  return html`
    ${progress && !hasEnded(search.status) && html`<div>
      <p>${t("search.progress", progress)} <small lang="en">${progress.doing}</small></p>
      <${ProgressBar} label=${t("view.search")} done=${progress.trials_done} of=${progress.trials} /></div>`}
    ${winner && html`<${Winner} winner=${winner} />`}
    ${agreement.map((pair) => html`<p>${describeAgreement(pair)}</p>`)}
    ${importance && html`<p>${describeImportance(importance)}</p>`}
    <${BestByEpochs} trials=${trials} />
    ${trials.length ? html`<${Trials} search=${search} />` : html`<${Empty} title=${t("search.no-trial")} />`}
    ${trials.some(({ steps }) => steps.length) && html`<button type="button" onClick=${download}>${t("search.report")}</button>`}
    ${refusal && html`<${Failure} error=${refusal} />`}`;
}

function Winner({ winner }) {
  const { name, version } = winner;
  const accuracies = Object.entries(winner.test_accuracy).map(([backend, accuracy]) => `${titleOf(backend)} ${percent(accuracy)}`);
  return html`<section class="panel" aria-label=${t("search.winner")}>
    <h2>${t("search.winner")}: ${t("train.version", { name, version })}</h2>
    <div class="row">
      <a class="button" href=${addressOf("train", { id: winner.training })}>${t("train.training")}</a>
      ${accuracies.length > 0 && html`
        <a class="button" href=${addressOf("models", { model: name })}>${t("train.model")}</a>
        <a class="button" href=${addressOf("draw", { model: name, version })}>${t("train.draw")}</a>
        <span>${t("train.test-accuracy")}: ${accuracies.join(", ")}</span>`}
    </div></section>`;
}

/** Whether two backends rank the trials alike, and whether the same trial wins in both. */
function describeAgreement({ backends, trials, rank_correlation: value, low, high, winners }) {
  const [first, second] = backends.map(titleOf);
  const [one, other] = backends.map((backend) => winners[backend]);
  const round = (figure) => number(figure, 2);
  return [
    value !== null && t("search.correlation", { first, second, trials, value: round(value), low: round(low), high: round(high) }),
    t(one === other ? "search.same-winner" : "search.other-winner", { first, second, one, other }),
  ].filter(Boolean).join(" ");
}

function describeImportance(importance) {
  const shares = Object.entries(importance).filter(([, share]) => share >= SMALLEST).map(([name, share]) => `${name} ${percent(share, 0)}`);
  return t("search.importance", { shares: shares.join(", ") });
}

/** The smallest value of a finished trial, after each trial. */
function BestByEpochs({ trials }) {
  const [xs, values] = [[], []];
  let [spent, best] = [0, null];
  for (const { steps, status, value } of trials) {
    spent += steps.length;
    if (status === "finished" && (best === null || value < best)) best = value;
    if (best === null || !steps.length) continue;
    xs.push(spent);
    values.push(best);
  }
  return xs.length > 0 && html`<${Chart} title=${t("search.chart")} xLabel=${t("search.epochs-spent")} xs=${xs} height=${200}
    lines=${[{ label: t("search.best-loss"), colour: "--accent", format: (value) => number(value, 4), values }]} />`;
}

/** The trials, newest first. */
function Trials({ search: { trials, best, request } }) {
  const [limit, setLimit] = useState(FIRST);
  const rows = trials.map((trial) => ({ ...trial, id: trial.number })).reverse();
  return html`<${JobTable} jobs=${rows.slice(0, limit)} title=${t("search.trials")} current=${best} columns=${[
    { title: t("search.trial"), cell: ({ number: place, training }) => (training ? html`<a href=${addressOf("train", { id: training })}>${place}</a>` : place) },
    { title: t("train.validation-loss"), className: "figure", cell: ({ value, steps }) => number(value ?? steps.at(-1), 4) },
    ...request.backends.map((backend, index) => ({
      title: html`<${BackendName} backend=${backend} index=${index} />`, className: "figure optional",
      cell: ({ backends }) => number(backends[backend]?.validation_loss, 4),
    })),
    { title: t("train.status"), cell: ({ status, id }) => html`<${Status} status=${status} />${id === best && html`<br /><strong>★ ${t("search.best")}</strong>`}` },
    { title: t("search.parameters"), cell: ({ parameters, error }) => html`${Object.entries(parameters).map(writeParameter).join(", ")}
      ${error && html`<p class="field-error">${error}</p>`}` },
  ]} />
  ${rows.length > limit && html`<button type="button" onClick=${() => setLimit(rows.length)}>${t("compare.all", { count: rows.length })}</button>`}`;
}

/** Write a parameter with the last part of its path, which is unique among a trial's. */
function writeParameter([path, value]) {
  return `${path.split(".").at(-1)} ${write(value)}`;
}

function write(value) {
  if (typeof value === "number") return Number(value.toPrecision(3));
  if (typeof value !== "object") return value;
  return Object.entries(value).map(([name, each]) => (name === "name" ? each : `${name} ${write(each)}`)).join(" "); // an optimiser
}
