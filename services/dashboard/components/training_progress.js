// One training: the progress of each backend's run, the growing curves, and what came of it.

import { html, useEffect, useRef, useState } from "../vendor/htm-preact-standalone.module.js";
import { hasEnded, useJob } from "../live.js";
import { addressOf } from "../router.js";
import { duration, number, percent, t, time } from "../texts.js";
import { BackendName, colourOfBackend, titleOf } from "./backends.js";
import { CancelButton } from "./cancel_button.js";
import { Chart } from "./chart.js";
import { versionOf } from "./job_kinds.js";
import { ProgressBar } from "./progress_bar.js";
import { Failure, Loading, Status } from "./states.js";

const RECENT = 5; // epochs whose median duration predicts the time left
const PREFIXES = { test: "test_", validation: "validation_", train: "" }; // of an epoch's figures on each split

/** Show the training with an id, and follow it until it ends. `onEnd` is called when it ends. */
export function TrainingProgress({ id, onEnd }) {
  const path = `/v1/trainings/${encodeURIComponent(id)}`;
  const { job, error } = useJob(path);
  const title = useRef(null);
  // On a narrow screen it lies below the form.
  useEffect(() => title.current?.focus(), [job !== null]);
  const isUnfinished = job && !hasEnded(job.status);
  // A cleanup, so it runs when the training ends. A training that had ended before is not reported.
  useEffect(() => (isUnfinished ? onEnd : undefined), [isUnfinished]);
  if (!job) return error ? html`<${Failure} error=${error} />` : html`<${Loading} />`;
  const runs = Object.entries(job.runs);
  const model = { model: job.name, version: job.version };
  return html`
    <section class="stack" aria-label=${t("train.training")}>
      <div class="row">
        <h2 ref=${title} tabindex="-1">${versionOf(job)}</h2>
        <${Status} status=${job.status} />
        <small>${time(job.created_at)}</small>
        ${isUnfinished && html`<${CancelButton} path=${path} />`}
      </div>
      ${error && html`<${Failure} error=${error} />`}
      ${runs.map(([backend, run], index) => html`<${Run} key=${backend} backend=${backend} run=${run} index=${index} />`)}
      <${Warnings} warnings=${job.warnings} />
      <${Curves} runs=${runs} />
      <${NewestFigures} runs=${runs} />
      ${runs.some(([, run]) => run.overlapped) && html`<p class="soft">${t("train.overlapped")}</p>`}
      ${job.comparisons.map((pair) => html`<p key=${pair.backends.join()}>${describePair(pair, job.version ? "test" : "validation")}</p>`)}
      ${job.status === "succeeded" && job.version && html`<p class="row">
        <a class="button" href=${addressOf("draw", model)}>${t("train.draw")}</a>
        <a class="button" href=${addressOf("compare", model)}>${t("train.compare")}</a></p>`}
    </section>`;
}

function Warnings({ warnings }) {
  return warnings.map((warning) => html`<p class="warning" key=${warning}>${warning}</p>`);
}

function Run({ backend, run, index }) {
  return html`
    <div>
      <div class="row run-head">
        <${BackendName} backend=${backend} index=${index} />
        <${Status} status=${run.status} />
        <small>${describeProgress(run)}</small>
      </div>
      <${ProgressBar} label=${titleOf(backend)} done=${run.epoch} of=${run.epochs} colour=${colourOfBackend(index)} />
      ${run.error && html`<p class="field-error">${run.error}</p>`}
      <${Warnings} warnings=${run.warnings} />
    </div>`;
}

function describeProgress(run) {
  const done = t("train.epoch-of", run);
  if (run.status !== "running" || !run.history.length || run.epoch === run.epochs) return done;
  const recent = run.history.slice(-RECENT).map(({ seconds }) => seconds).sort((a, b) => a - b);
  const left = (run.epochs - run.epoch) * recent[Math.floor(recent.length / 2)];
  return `${done}, ${t("train.time-left", { time: duration(left) })}`;
}

/** Return the splits on which an epoch has figures: the test split first, the training split last. */
function splitsOf(epoch) {
  return Object.keys(PREFIXES).filter((split) => epoch[`${PREFIXES[split]}loss`] != null);
}

/** Loss and accuracy of every backend by epoch, on one of the splits. */
function Curves({ runs }) {
  const [chosen, setChosen] = useState(null);
  const epochs = Math.max(0, ...runs.map(([, run]) => run.history.length));
  if (!epochs) return html`<p class="soft">${t("train.no-epoch")}</p>`;
  const splits = splitsOf(runs.find(([, run]) => run.history.length)[1].history[0]);
  const split = chosen ?? splits[0];
  const xs = Array.from({ length: epochs }, (_, index) => index + 1);
  const lineOf = ([backend, run], index, figure) => ({
    label: `${titleOf(backend)}, ${t(`train.${figure}`)}`,
    colour: colourOfBackend(index),
    // Paired runs lie on each other: the first is drawn wider.
    width: index === 0 ? 7 : 2.5,
    dash: figure === "accuracy" ? [6, 4] : undefined,
    isRight: figure === "accuracy",
    format: figure === "accuracy" ? (value) => percent(value, 1) : (value) => number(value, 4),
    values: xs.map((_, epoch) => run.history[epoch]?.[PREFIXES[split] + figure] ?? null),
  });
  const lines = ["loss", "accuracy"].flatMap((figure) => runs.map((run, index) => lineOf(run, index, figure)));
  return html`
    <${Chart} title=${t("train.curves", { split: t(`train.split-${split}`) })} xLabel=${t("train.epoch")} xs=${xs} lines=${lines} height=${280} />
    <div class="row">
      ${splits.map((name) => html`<label key=${name}>
        <input type="radio" name="split" checked=${split === name} onChange=${() => setChosen(name)} /> ${t(`train.split-${name}`)}</label>`)}
    </div>`;
}

function NewestFigures({ runs }) {
  const begun = runs.map(([backend, run], index) => ({ backend, index, run, last: run.history.at(-1) })).filter(({ last }) => last);
  if (!begun.length) return null;
  const rows = {
    ...Object.assign({}, ...splitsOf(begun[0].last).map((split) => ({
      [`train.${split}-accuracy`]: ({ last }) => percent(last[`${PREFIXES[split]}accuracy`]),
      [`train.${split}-loss`]: ({ last }) => number(last[`${PREFIXES[split]}loss`], 5),
    }))),
    "train.seconds": ({ last }) => number(last.seconds, 2),
    "train.speed": ({ run }) => number(run.examples_per_second),
    "train.threads": ({ run }) => `${run.threads ?? "–"}, ${run.device ?? "–"}${run.tf32 ? ", TF32" : ""}`,
  };
  return html`
    <div class="scroll"><table>
      <caption>${t("train.newest")}</caption>
      <thead><tr><td></td>${begun.map((side) => html`<th scope="col" class="figure"><${BackendName} ...${side} /></th>`)}</tr></thead>
      <tbody>${Object.entries(rows).map(([key, format]) => html`<tr key=${key}><th scope="row">${t(key)}</th>
        ${begun.map((side) => html`<td class="figure">${format(side)}</td>`)}</tr>`)}</tbody>
    </table></div>`;
}

function describePair(pair, split) {
  const [first, second] = pair.backends.map(titleOf);
  const agreement = t("train.agreement", { first, second, agreement: percent(pair.agreement), split: t(`train.split-${split}`) });
  if (pair.max_weight_difference === null) return agreement;
  return `${agreement} ${t("train.weight-difference", { difference: Number(pair.max_weight_difference.toPrecision(2)) })}`;
}
