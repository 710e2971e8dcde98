// One queue: what each of its trainers works on, and what waits in order.

import { html } from "../vendor/htm-preact-standalone.module.js";
import { useResource } from "../resources.js";
import { number, t, time } from "../texts.js";
import { colourOfBackend } from "./backends.js";
import { CancelButton } from "./cancel_button.js";
import { canCancel, describeJob, pathOfJob } from "./job_kinds.js";

const EVERY_MS = 2000;
const MAX_LISTED = 50; // waiting jobs that the status names
const STATES = { busy: "beginning", suspended: "suspended" }; // of a trainer without a job: it is between two steps

/**
 * Show a queue.
 * @param {Object} props
 * @param {string} props.name the backend, or `loadtest`.
 * @param {import("preact").VNode|string} props.title what the panel is called.
 * @param {Object} props.queue its part of GET /v1/status.
 * @param {number|null} props.place the place of the backend's colour; null for load tests.
 * @param {function(): void} props.reload reads the status again.
 */
export function QueuePanel({ name, title, queue, place, reload }) {
  const hidden = queue.waiting.length < MAX_LISTED ? 0 : queue.queued - MAX_LISTED;
  return html`
    <section class="queue panel" aria-labelledby=${`queue-${name}`}>
      <h2 id=${`queue-${name}`}>${title}</h2>
      ${queue.predictor === "down" && html`<p class="field-error">${t("queue.predictor-down", { service: `${name}-predictor` })}</p>`}
      ${queue.trainers.length === 0 && html`<p class="field-error">${t("queue.no-trainer", { service: name === "loadtest" ? name : `${name}-trainer` })}</p>`}
      <ul class="queue-jobs">${queue.trainers.map((trainer, index) => html`<li key=${index}>
        <${Trainer} trainer=${trainer} name=${name} place=${place} reload=${reload} /></li>`)}</ul>
      <h3>${t("queue.waiting")}</h3>
      ${queue.waiting.length === 0 ? html`<p class="soft">${t("queue.nothing-waits")}</p>` : html`
        <ol class="queue-jobs">${queue.waiting.map(({ kind, id }) => html`<li key=${id}>
          <${Job} kind=${kind} id=${id} name=${name} reload=${reload} /></li>`)}</ol>`}
      ${hidden > 0 && html`<p class="soft">${t("queue.more", { count: number(hidden) })}</p>`}
    </section>`;
}

function Trainer({ trainer, name, place, reload }) {
  if (!trainer.running) return html`<p class="soft">${t(`queue.${STATES[trainer.state] ?? "idle"}`)}</p>`;
  const { kind, id } = trainer.running;
  return html`<${Job} key=${id} kind=${kind} id=${id} name=${name} place=${place} isRunning reload=${reload} />`;
}

/** One job of a queue. A job that runs also shows its progress. */
function Job({ kind, id, name, place = null, isRunning = false, reload }) {
  const path = pathOfJob(kind, id);
  const { data } = useResource(path, { every: isRunning ? EVERY_MS : 0 });
  const described = data ? describeJob(kind, data) : { name: t("state.loading"), address: null };
  return html`
    <div class="queue-job">
      <p><span class="soft">${t(`queue.kind-${kind}`)}</span>${" "}
        ${described.address ? html`<a href=${described.address}>${described.name}</a>` : described.name}</p>
      <p class="soft">${data && t("queue.since", { time: time(data.created_at) })}</p>
      ${isRunning && data && html`<${JobProgress} job=${data} name=${name} place=${place} />`}
      ${canCancel(kind) && html`<${CancelButton} path=${path} label=${t("queue.cancel")} name=${described.name} onCancel=${reload} />`}
    </div>`;
}

function JobProgress({ job, name, place }) {
  const found = progressOf(job, name);
  if (!found) return html`<p class="soft">${t("status.running")}</p>`;
  const colour = place === null ? "--accent" : colourOfBackend(place);
  return html`
    <p class="soft">${t(`queue.progress-${found.unit}`, found)}</p>
    <div class="bar" role="progressbar" aria-label=${t(`queue.progress-${found.unit}`, found)} aria-valuemin="0" aria-valuemax=${found.of}
      aria-valuenow=${found.done}><span style=${{ width: `${(100 * found.done) / found.of}%`, background: `var(${colour})` }}></span></div>`;
}

function progressOf(job, name) {
  const run = job.runs?.[name];
  if (run?.epochs) return { unit: "epochs", done: run.epoch, of: run.epochs };
  if (job.progress?.of) return { unit: "blocks", done: job.progress.done, of: job.progress.of };
  return null;
}
