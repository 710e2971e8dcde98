// One queue: what each of its trainers works on, and what waits in order.

import { html } from "../vendor/htm-preact-standalone.module.js";
import { useResource } from "../resources.js";
import { number, t, time } from "../texts.js";
import { colourOfBackend } from "./backends.js";
import { CancelButton } from "./cancel_button.js";
import { canCancel, describeJob, parseJobId, pathOfJob } from "./job_kinds.js";

const EVERY_MS = 2000;
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
  const waiting = (queue.waiting ?? []).map((entry) => (typeof entry === "string" ? entry : entry.job));
  const unnamed = (queue.queued ?? 0) - waiting.length;
  return html`
    <section class="queue panel" aria-labelledby=${`queue-${name}`}>
      <h2 id=${`queue-${name}`}>${title}</h2>
      ${queue.predictor === "down" && html`<p class="field-error">${t("queue.predictor-down", { service: `${name}-predictor` })}</p>`}
      ${queue.trainers.length === 0 && html`<p class="field-error">${t("queue.no-trainer", { service: name === "loadtest" ? name : `${name}-trainer` })}</p>`}
      <ul class="queue-jobs">${queue.trainers.map((trainer, index) => html`<li key=${index}>
        <${Trainer} trainer=${trainer} name=${name} place=${place} reload=${reload} /></li>`)}</ul>
      <h3>${t(queue.queued ? "queue.waiting-count" : "queue.waiting", { count: number(queue.queued ?? 0) })}</h3>
      ${waiting.length > 0 && html`<ol class="queue-jobs">${waiting.map((job) => html`<li key=${job}>
        <${Job} job=${job} name=${name} reload=${reload} /></li>`)}</ol>`}
      ${unnamed > 0 && html`<p class="soft">${t("queue.more", { count: number(unnamed) })}</p>`}
      ${queue.queued === 0 && html`<p class="soft">${t("queue.nothing-waits")}</p>`}
    </section>`;
}

function Trainer({ trainer, name, place, reload }) {
  if (!trainer.job) return html`<p class="soft">${t(`queue.${STATES[trainer.state] ?? "idle"}`)}</p>`;
  return html`<${Job} key=${trainer.job} job=${trainer.job} name=${name} place=${place} isRunning reload=${reload} />`;
}

/** One job of a queue, by its id. A job that runs also shows its progress. */
function Job({ job, name, place = null, isRunning = false, reload }) {
  const parsed = parseJobId(job);
  const { data } = useResource(parsed && pathOfJob(parsed.kind, parsed.id), { every: isRunning ? EVERY_MS : 0 });
  if (!parsed) return html`<p>${job}</p>`;
  const described = data && describeJob(parsed.kind, data);
  const title = described ? described.name : t("state.loading");
  return html`
    <div class="queue-job">
      <p><span class="soft">${t(`queue.kind-${parsed.kind}`)}</span>${" "}
        ${described?.address ? html`<a href=${described.address}>${title}</a>` : title}</p>
      <p class="soft">${data && t("queue.since", { time: time(data.created_at) })}</p>
      ${isRunning && data && html`<${JobProgress} job=${data} name=${name} place=${place} />`}
      ${canCancel(parsed.kind) && html`<${CancelButton} path=${pathOfJob(parsed.kind, parsed.id)} label=${t("queue.cancel")} name=${title} onCancel=${reload} />`}
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
