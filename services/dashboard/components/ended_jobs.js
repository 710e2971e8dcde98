// The newest jobs of all kinds that have ended, in one list.

import { html, useEffect, useState } from "../vendor/htm-preact-standalone.module.js";
import { api } from "../api.js";
import { hasEnded } from "../live.js";
import { t, time } from "../texts.js";
import { KIND_NAMES, describeJob, listOfKind } from "./job_kinds.js";
import { JobTable } from "./job_list.js";
import { Empty, Failure, Loading, Status } from "./states.js";

const EVERY_MS = 10_000;
const PER_KIND = 10;
const SHOWN = 15;

/** List the newest jobs that have ended. `round` changes when the list should be read again. */
export function EndedJobs({ round }) {
  const { entries, error } = useEndedJobs(round);
  const columns = [
    { title: t("queue.job"), cell: (job) => html`<${JobName} job=${job} />` },
    { title: t("queue.status"), cell: ({ status }) => html`<${Status} status=${status} />` },
    { title: t("queue.submitted"), cell: ({ created_at }) => time(created_at) },
  ];
  return html`
    <section class="ended-jobs" aria-labelledby="ended">
      <h2 id="ended">${t("queue.ended")}</h2>
      ${error && html`<${Failure} error=${error} />`}
      ${!entries ? !error && html`<${Loading} />` : entries.length === 0
        ? html`<${Empty} title=${t("queue.none-ended")}><p><a href="/train">${t("queue.none-ended-hint")}</a></p><//>`
        : html`<${JobTable} jobs=${entries} title=${t("queue.ended")} columns=${columns} />`}
    </section>`;
}

function JobName({ job }) {
  const { name, address } = describeJob(job.kind, job);
  return html`<small>${t(`queue.kind-${job.kind}`)}</small>${" "}${address ? html`<a href=${address}>${name}</a>` : name}`;
}

function useEndedJobs(round) {
  const [state, setState] = useState({ entries: null, error: null });
  useEffect(() => {
    const reading = new AbortController();
    const read = async () => {
      if (document.hidden) return;
      try {
        const lists = await Promise.all(KIND_NAMES.map((kind) => readKind(kind, reading.signal)));
        const entries = lists.flat().filter(({ status }) => hasEnded(status));
        entries.sort((a, b) => (a.created_at < b.created_at ? 1 : -1));
        setState({ entries: entries.slice(0, SHOWN), error: null });
      } catch (error) {
        if (!reading.signal.aborted) setState((before) => ({ ...before, error }));
      }
    };
    read();
    const timer = setInterval(read, EVERY_MS);
    return () => {
      clearInterval(timer);
      reading.abort();
    };
  }, [round]);
  return state;
}

async function readKind(kind, signal) {
  const query = kind === "training" ? `limit=${PER_KIND}&history=last` : `limit=${PER_KIND}`;
  const list = listOfKind(kind);
  const page = await api.get(`/v1/${list}?${query}`, { signal });
  return page[list].map((job) => ({ ...job, kind }));
}
