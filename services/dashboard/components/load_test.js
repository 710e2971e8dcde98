// One load test: its progress while it runs, its report once it has succeeded.

import { html, useEffect, useRef, useState } from "../vendor/htm-preact-standalone.module.js";
import { api } from "../api.js";
import { hasEnded, useJob } from "../live.js";
import { duration, t, time } from "../texts.js";
import { CancelButton } from "./cancel_button.js";
import { LoadTestReport } from "./load_test_report.js";
import { describeRequest } from "./load_test_words.js";
import { Failure, Loading, Status } from "./states.js";

const FILES = { html: "load.file-html", png: "load.file-png", csv: "load.file-csv" };

/** Show the load test with an id, and follow it until it ends. */
export function LoadTest({ id }) {
  const path = `/v1/loadtests/${encodeURIComponent(id)}`;
  const { job, error } = useJob(path);
  const heading = useRef(null);
  useEffect(() => heading.current.focus(), []); // so that a screen reader says what the link led to
  return html`
    <article class="load-test stack">
      <header>
        <p><a href="/load">${t("load.all")}</a></p>
        <h1 tabindex="-1" ref=${heading}>${job ? t("load.test-of", job) : t("load.title")}</h1>
        ${job && html`<p class="row"><${Status} status=${job.status} /><span class="soft">${time(job.created_at)}</span>
          <span class="soft">${describeRequest(job.request)}</span></p>`}
      </header>
      ${error ? html`<${Failure} error=${error} />` : !job && html`<${Loading} />`}
      ${job && !hasEnded(job.status) && html`<${Progress} job=${job} path=${path} />`}
      ${job?.error && html`<p class="field-error">${job.error}</p>`}
      ${job?.status === "cancelled" && html`<p>${t("load.cancelled")}</p>`}
      ${job?.status === "succeeded" && html`
        <${LoadTestReport} test=${job} />
        <${Downloads} path=${path} name=${`load-test-${job.model}-${job.version}`} />`}
    </article>`;
}

function Progress({ job, path }) {
  const { progress } = job;
  const left = useTimeLeft(progress);
  const share = progress ? progress.done / progress.of : 0;
  return html`
    <section class="load-progress panel" aria-label=${t("load.progress")}>
      <p>${!progress ? t(job.status === "queued" ? "load.waiting" : "load.preparing")
        : html`${t("load.blocks", progress)}${left !== null && `, ${t("load.time-left", { time: duration(left) })}`}`}</p>
      <div class="bar" role="progressbar" aria-label=${t("load.progress")} aria-valuemin="0" aria-valuemax=${progress?.of ?? 1}
        aria-valuenow=${progress?.done ?? 0}><span style=${{ width: `${100 * share}%` }}></span></div>
      <p class="row"><small lang="en">${progress?.doing}</small><${CancelButton} path=${path} label=${t("load.cancel")} /></p>
    </section>`;
}

/** The hook that returns how many seconds are left, from how long the blocks took since the page was opened. */
function useTimeLeft(progress) {
  const begin = useRef(null);
  if (!progress) return null;
  if (!begin.current) begin.current = { at: Date.now(), done: progress.done };
  const measured = progress.done - begin.current.done;
  if (measured < 1) return null;
  return ((Date.now() - begin.current.at) / 1000 / measured) * (progress.of - progress.done);
}

function Downloads({ path, name }) {
  const [error, setError] = useState(null);
  const download = (suffix) => api.download(`${path}/report.${suffix}`, `${name}.${suffix}`).then(() => setError(null), setError);
  return html`
    <section aria-labelledby="load-files">
      <h2 id="load-files">${t("load.files")}</h2>
      <div class="row">${Object.entries(FILES).map(([suffix, key]) => html`
        <button type="button" key=${suffix} onClick=${() => download(suffix)}>${t(key)}</button>`)}</div>
      ${error && html`<p class="field-error" role="alert">${error.message}</p>`}
    </section>`;
}
