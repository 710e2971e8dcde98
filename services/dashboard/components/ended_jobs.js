// The newest jobs of all kinds that have ended, in one list.

import { html, useEffect, useState } from "../vendor/htm-preact-standalone.module.js";
import { api } from "../api.js";
import { hasEnded } from "../live.js";
import { t, time } from "../texts.js";
import { KIND_NAMES, describeJob, listOfKind } from "./job_kinds.js";
import { Empty, Failure, Loading, Status } from "./states.js";

const EVERY_MS = 10_000;
const PER_KIND = 10;
const SHOWN = 15;

/** List the newest jobs that have ended. `round` changes when the list should be read again. */
export function EndedJobs({ round }) {
  const { entries, error } = useEndedJobs(round);
  return html`
    <section aria-labelledby="ended">
      <h2 id="ended">${t("queue.ended")}</h2>
      ${error && html`<${Failure} error=${error} />`}
      ${!entries ? !error && html`<${Loading} />` : entries.length === 0
        ? html`<${Empty} title=${t("queue.none-ended")}><p><a href="/train">${t("queue.none-ended-hint")}</a></p><//>`
        : html`<div class="scroll"><table class="wide ended-jobs">
            <caption class="hidden">${t("queue.ended")}</caption>
            <thead><tr><th scope="col">${t("queue.job")}</th><th scope="col">${t("queue.status")}</th><th scope="col">${t("queue.submitted")}</th></tr></thead>
            <tbody>${entries.map(({ kind, job }) => html`<${Row} key=${job.id} kind=${kind} job=${job} />`)}</tbody>
          </table></div>`}
    </section>`;
}

function Row({ kind, job }) {
  const { name, address } = describeJob(kind, job);
  return html`<tr><th scope="row"><small>${t(`queue.kind-${kind}`)}</small>${" "}${address ? html`<a href=${address}>${name}</a>` : name}</th>
    <td><${Status} status=${job.status} /></td><td>${time(job.created_at)}</td></tr>`;
}

function useEndedJobs(round) {
  const [state, setState] = useState({ entries: null, error: null });
  useEffect(() => {
    const reading = new AbortController();
    const read = async () => {
      if (document.hidden) return;
      try {
        const lists = await Promise.all(KIND_NAMES.map((kind) => readKind(kind, reading.signal)));
        const entries = lists.flat().filter(({ job }) => hasEnded(job.status));
        entries.sort((a, b) => (a.job.created_at < b.job.created_at ? 1 : -1));
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
  return page[list].map((job) => ({ kind, job }));
}
