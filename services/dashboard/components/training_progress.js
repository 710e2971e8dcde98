// One training: the progress of each backend's run, the growing curves, and what came of it.

import { html, useEffect, useRef, useState } from "../vendor/htm-preact-standalone.module.js";
import { hasEnded, useJob } from "../live.js";
import { addressOf } from "../router.js";
import { duration, number, percent, t, time } from "../texts.js";
import { BackendName, colourOfBackend, titleOf } from "./backends.js";
import { CancelButton } from "./cancel_button.js";
import { Chart } from "./chart.js";
import { ProgressBar } from "./progress_bar.js";
import { Failure, Loading, Status } from "./states.js";

// Epochs whose median duration predicts the time left.
const RECENT = 5;

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
        <h2 ref=${title} tabindex="-1">${t("train.version", job)}</h2>
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
      ${job.comparisons.map((pair) => html`<p key=${pair.backends.join()}>${describePair(pair)}</p>`)}
      ${job.status === "succeeded" && html`<p class="row">
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

/** Loss and accuracy of every backend by epoch, on the training or on the test split. */
function Curves({ runs }) {
  const [split, setSplit] = useState("test");
  const epochs = Math.max(0, ...runs.map(([, run]) => run.history.length));
  if (!epochs) return html`<p class="soft">${t("train.no-epoch")}</p>`;
  const prefix = split === "test" ? "test_" : "";
  const xs = Array.from({ length: epochs }, (_, index) => index + 1);
  const lineOf = ([backend, run], index, figure) => ({
    label: `${titleOf(backend)}, ${t(`train.${figure}`)}`,
    colour: colourOfBackend(index),
    // Paired runs lie on each other: the first is drawn wider.
    width: index === 0 ? 7 : 2.5,
    dash: figure === "accuracy" ? [6, 4] : undefined,
    isRight: figure === "accuracy",
    format: figure === "accuracy" ? (value) => percent(value, 1) : (value) => number(value, 4),
    values: xs.map((_, epoch) => run.history[epoch]?.[prefix + figure] ?? null),
  });
  const lines = ["loss", "accuracy"].flatMap((figure) => runs.map((run, index) => lineOf(run, index, figure)));
  return html`
    <${Chart} title=${t(`train.curves-${split}`)} xLabel=${t("train.epoch")} xs=${xs} lines=${lines} height=${280} />
    <div class="row">
      ${["test", "train"].map((name) => html`<label key=${name}>
        <input type="radio" name="split" checked=${split === name} onChange=${() => setSplit(name)} /> ${t(`train.split-${name}`)}</label>`)}
    </div>`;
}

function NewestFigures({ runs }) {
  const begun = runs.map(([backend, run], index) => ({ backend, index, run, last: run.history.at(-1) })).filter(({ last }) => last);
  if (!begun.length) return null;
  const rows = {
    "train.test-accuracy": ({ last }) => percent(last.test_accuracy),
    "train.test-loss": ({ last }) => number(last.test_loss, 5),
    "train.train-accuracy": ({ last }) => percent(last.accuracy),
    "train.train-loss": ({ last }) => number(last.loss, 5),
    "train.seconds": ({ last }) => number(last.seconds, 2),
    "train.speed": ({ run }) => number(run.examples_per_second),
    "train.threads": ({ run }) => `${run.threads ?? "–"}, ${run.device ?? "–"}`,
  };
  return html`
    <div class="scroll"><table>
      <caption>${t("train.newest")}</caption>
      <thead><tr><td></td>${begun.map((side) => html`<th scope="col" class="figure"><${BackendName} ...${side} /></th>`)}</tr></thead>
      <tbody>${Object.entries(rows).map(([key, format]) => html`<tr key=${key}><th scope="row">${t(key)}</th>
        ${begun.map((side) => html`<td class="figure">${format(side)}</td>`)}</tr>`)}</tbody>
    </table></div>`;
}

function describePair(pair) {
  const [first, second] = pair.backends.map(titleOf);
  const agreement = t("train.agreement", { first, second, agreement: percent(pair.agreement) });
  if (pair.max_weight_difference === null) return agreement;
  return `${agreement} ${t("train.weight-difference", { difference: Number(pair.max_weight_difference.toPrecision(2)) })}`;
}
