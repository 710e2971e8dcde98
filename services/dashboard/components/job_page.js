// What the views of long jobs have in common: a form beside earlier jobs, and the page of one job.

import { html, useEffect, useRef } from "../vendor/htm-preact-standalone.module.js";
import { hasEnded, useJob } from "../live.js";
import { useResource } from "../resources.js";
import { t, time } from "../texts.js";
import { CancelButton } from "./cancel_button.js";
import { KINDS, pathOfJob } from "./job_kinds.js";
import { JobList } from "./job_list.js";
import { Failure, Loading, Status } from "./states.js";

const SERVICES = { loadtest: "loadtest", search: "pipelines", release: "pipelines" }; // that work on each kind of job

/**
 * Show the form of a kind of job, and earlier jobs of this kind.
 * @param {Object} props
 * @param {string} props.kind
 * @param {string} props.title
 * @param {string} props.intro what such a job does.
 * @param {string} props.earlier the title of the list.
 * @param {string[]} props.sources the paths that the form needs.
 * @param {function(...Object): any} props.form draws the form with what the paths answered.
 * @param {function(Object): any} props.describe more about a job of the list than its name.
 */
export function JobOverview({ kind, title, intro, earlier, sources, form, describe }) {
  const read = sources.map((path) => useResource(path));
  const service = SERVICES[kind];
  const isServiceDown = useResource("/v1/status").data?.[service].trainers.length === 0;
  const failed = read.find(({ error, data }) => error && !data);
  const columns = [
    { title: t(KINDS[kind].title), cell: (job) => html`<a href=${KINDS[kind].addressOf(job)}>${KINDS[kind].nameOf(job)}</a>
      <p class="soft">${describe(job)}</p>` },
    { title: t("train.status"), cell: ({ status }) => html`<${Status} status=${status} />` },
    { title: t("train.started"), className: "optional", cell: ({ created_at }) => time(created_at) },
  ];
  return html`
    <h1 tabindex="-1">${title}</h1>
    <p>${intro}</p>
    ${isServiceDown && html`<p class="field-error">${t("queue.no-trainer", { service })}</p>`}
    <div class="columns equal">
      ${failed ? html`<${Failure} error=${failed.error} retry=${() => read.forEach(({ reload }) => reload())} />`
        : read.some(({ data }) => !data) ? html`<${Loading} />`
        : form(...read.map(({ data }) => data))}
      <${JobList} kind=${KINDS[kind].list} title=${earlier} columns=${columns} />
    </div>`;
}

/**
 * Show one job, and follow it until it ends.
 * @param {Object} props
 * @param {string} props.kind
 * @param {string} props.id
 * @param {string} props.earlier the text of the link to the overview.
 * @param {function(Object): string} props.describe what the job was asked to do.
 * @param {function(Object, string): any} props.show draws the job; the second argument is its path.
 */
export function JobPage({ kind, id, earlier, describe, show }) {
  const path = pathOfJob(kind, encodeURIComponent(id));
  const { job, error } = useJob(path);
  const heading = useRef(null);
  useEffect(() => heading.current.focus(), []); // so that a screen reader says what the link led to
  return html`
    <article class="stack">
      <a href=${location.pathname}>← ${earlier}</a>
      <h1 tabindex="-1" ref=${heading}>${job ? KINDS[kind].nameOf(job) : t(KINDS[kind].title)}</h1>
      ${error ? html`<${Failure} error=${error} />` : !job && html`<${Loading} />`}
      ${job && html`
        <div class="row"><${Status} status=${job.status} /><small>${time(job.created_at)}</small><small>${describe(job)}</small>
          ${!hasEnded(job.status) && html`<${CancelButton} path=${path} />`}</div>
        ${job.error && html`<p class="field-error">${job.error}</p>`}
        ${job.warnings?.map((warning) => html`<p class="warning">${warning}</p>`)}
        ${show(job, path)}`}
    </article>`;
}
