// The view Queue: what runs and what waits on each trainer, and earlier jobs.

import { html, useState } from "../vendor/htm-preact-standalone.module.js";
import { BackendName, colourOfBackend } from "../components/backends.js";
import { CancelButton } from "../components/cancel_button.js";
import { Choice } from "../components/fields.js";
import { KINDS, pathOfJob } from "../components/job_kinds.js";
import { JobList } from "../components/job_list.js";
import { ProgressBar } from "../components/progress_bar.js";
import { Empty, Failure, Loading, Status } from "../components/states.js";
import { useResource } from "../resources.js";
import { number, t, time } from "../texts.js";

const EVERY_MS = 2000;
const MAX_LISTED = 50; // waiting jobs that the status names
const STATES = { busy: "busy", suspended: "suspended" }; // of a trainer without a job: busy is between two steps

/** The view of /queue. It refreshes itself, and announces nothing: a screen reader reads it when it is asked to. */
export function View() {
  const { data, error, reload } = useResource("/v1/status", { every: EVERY_MS });
  return html`
    <h1 tabindex="-1">${t("view.queue")}</h1>
    ${!data ? (error ? html`<${Failure} error=${error} retry=${reload} />` : html`<${Loading} />`)
      : data.redis === "down" ? html`<${Empty} title=${t("frame.redis-down")} />`
      : html`<${Queues} status=${data} reload=${reload} />`}`;
}

function Queues({ status, reload }) {
  const queues = Object.entries({ ...status.backends, loadtest: status.loadtest, pipelines: status.pipelines });
  const known = queues.flatMap(([, { trainers, waiting }]) => [...trainers.map(({ running }) => running), ...waiting].map((job) => job?.id)).join();
  return html`
    <div class="queues">${queues.map(([name, queue], place) => html`
      <${Queue} key=${name} name=${name} queue=${queue} place=${name in status.backends ? place : null} reload=${reload} />`)}</div>
    <${Jobs} round=${known} />`;
}

/** What each trainer of a queue works on, and what waits in order. `place` is that of the backend's colour, or null. */
function Queue({ name, queue: { trainers, waiting, queued }, place, reload }) {
  const hidden = waiting.length < MAX_LISTED ? 0 : queued - MAX_LISTED;
  const id = `queue-${name}`;
  return html`
    <section class="panel stack" aria-labelledby=${id}>
      <h2 id=${id}>${place === null ? t(`queue.${name}`) : html`<${BackendName} backend=${name} index=${place} />`}</h2>
      ${!trainers.length && html`<p class="field-error">${t("queue.no-trainer", { service: place === null ? name : `${name}-trainer` })}</p>`}
      <ul>${trainers.map(({ running, state }) => html`<li>${running
        ? html`<${Job} key=${running.id} ...${running} name=${name} place=${place} isRunning reload=${reload} />`
        : t(`queue.${STATES[state] ?? "idle"}`)}</li>`)}</ul>
      <h3>${t("queue.waiting")}</h3>
      ${!waiting.length && html`<p class="soft">${t("queue.nothing")}</p>`}
      <ol>${waiting.map((job) => html`<li key=${job.id}><${Job} ...${job} name=${name} reload=${reload} /></li>`)}</ol>
      ${hidden > 0 && html`<p class="soft">${t("queue.more", { count: number(hidden) })}</p>`}
    </section>`;
}

/** One job of a queue. A job that runs also shows its progress. */
function Job({ kind, id, name, place, isRunning = false, reload }) {
  const path = pathOfJob(kind, id);
  const { data: job } = useResource(path, { every: isRunning ? EVERY_MS : 0 });
  if (!job) return html`<${Loading} />`;
  const run = job.runs?.[name];
  const progress = run ? { text: t("train.epoch-of", run), done: run.epoch, of: run.epochs } : job.progress && progressOf(kind, job.progress);
  return html`
    <p><${JobName} kind=${kind} job=${job} /></p>
    ${isRunning && progress?.of && html`<p class="soft">${progress.text}</p>
      <${ProgressBar} label=${progress.text} ...${progress} colour=${place === null ? undefined : colourOfBackend(place)} />`}
    ${KINDS[kind].canCancel && html`<${CancelButton} path=${path} name=${KINDS[kind].nameOf(job)} onCancel=${reload} />`}`;
}

function progressOf(kind, progress) {
  if (kind === "loadtest") return { text: t("load.blocks", progress), ...progress };
  return { text: t("search.progress", progress), done: progress.trials_done, of: progress.trials };
}

function JobName({ kind, job }) {
  const name = KINDS[kind].nameOf(job);
  const address = KINDS[kind].addressOf(job);
  return html`<small>${t(KINDS[kind].title)} </small>${address ? html`<a href=${address}>${name}</a>` : name}`;
}

/** The jobs of one kind, newest first. `round` changes when the list should be read again. */
function Jobs({ round }) {
  const [kind, setKind] = useState("training");
  const columns = [
    { title: t("queue.job"), cell: (job) => html`<${JobName} kind=${kind} job=${job} />` },
    { title: t("train.status"), cell: ({ status }) => html`<${Status} status=${status} />` },
    { title: t("train.started"), cell: ({ created_at }) => time(created_at) },
  ];
  return html`
    <div class="stack"><${Choice} id="kind" label=${t("queue.kind")} value=${kind} options=${Object.entries(KINDS).map(([name, { title }]) => [name, t(title)])} onChange=${setKind} />
    <${JobList} key=${kind} kind=${KINDS[kind].list} filter=${kind === "training" ? "history=last" : ""} title=${t("queue.jobs")} columns=${columns} round=${round} /></div>`;
}
