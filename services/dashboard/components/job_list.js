// A list of jobs of one kind, newest first. The server searches; older jobs are read when they are asked for.

import { html, useEffect, useMemo, useState } from "../vendor/htm-preact-standalone.module.js";
import { api } from "../api.js";
import { t } from "../texts.js";
import { Empty, Failure, Loading } from "./states.js";

const PAGE = 20;
const PAUSE_MS = 250; // after the last key, before the server is asked

/**
 * A column of the list.
 * @typedef {Object} Column
 * @property {string} title
 * @property {function(Object): any} cell what is shown of a job. The first column's cells are the rows' headings.
 * @property {string} [className] `figure` for numbers, `optional` for what narrow screens leave out.
 */

/**
 * List jobs.
 * @param {Object} props
 * @param {string} props.kind as in the API's paths, such as `trainings`.
 * @param {string} props.title
 * @param {Column[]} props.columns
 * @param {string} [props.current] the id of the job that the view shows.
 * @param {any} [props.round] changes when the list should be read again.
 * @param {string} [props.filter] more of the request's query, such as `history=last`.
 */
export function JobList({ kind, title, columns, current, round, filter = "" }) {
  const [search, setSearch] = useState("");
  const list = useJobs(kind, filter, search, round);
  const id = `${kind}-search`;
  return html`
    <section aria-label=${title} class="job-list">
      <div class="row list-head">
        <h2>${title}</h2>
        <div class="field"><label for=${id} class="hidden">${t("list.search")}</label>
          <input id=${id} type="search" maxlength="100" placeholder=${t("list.search")} value=${search} onInput=${({ target }) => setSearch(target.value)} /></div>
      </div>
      ${list.error && html`<${Failure} error=${list.error} />`}
      ${!list.jobs ? !list.error && html`<${Loading} />`
        : !list.jobs.length ? html`<${Empty} title=${t(search ? "list.none-found" : "list.none-yet")} />`
        : html`<${JobTable} jobs=${list.jobs} title=${title} columns=${columns} current=${current} />`}
      ${list.next && html`<button type="button" disabled=${list.isReading} onClick=${list.readOlder}>${t("list.older")}</button>`}
    </section>`;
}

/** A table with one row per job. */
export function JobTable({ jobs, title, columns, current }) {
  return html`<div class="scroll"><table class="wide">
    <caption class="hidden">${title}</caption>
    <thead><tr>${columns.map((column) => html`<th scope="col" class=${column.className}>${column.title}</th>`)}</tr></thead>
    <tbody>
      ${jobs.map((job) => html`<${Row} key=${job.id} job=${job} columns=${columns} isCurrent=${job.id === current} />`)}
    </tbody>
  </table></div>`;
}

/** A row is drawn again only if its job has changed: hundreds of them may be listed. */
function Row({ job, columns: [heading, ...others], isCurrent }) {
  return useMemo(() => html`<tr class=${isCurrent ? "current" : null}>
    <th scope="row">${heading.cell(job)}</th>
    ${others.map((column) => html`<td class=${column.className}>${column.cell(job)}</td>`)}</tr>`, [job, isCurrent]);
}

function useJobs(kind, filter, search, round) {
  const [list, setList] = useState({ jobs: null, next: null, error: null, isReading: false });
  const read = async (before, signal) => {
    const query = new URLSearchParams(`limit=${PAGE}&${filter}`);
    if (search) query.set("search", search);
    if (before) query.set("before", before);
    setList((held) => ({ ...held, isReading: true }));
    try {
      const { [kind]: jobs, next } = await api.get(`/v1/${kind}?${query}`, { signal });
      if (!signal?.aborted) setList((held) => ({ jobs: before ? [...held.jobs, ...jobs] : jobs, next, isReading: false }));
    } catch (error) {
      if (!signal?.aborted) setList((held) => ({ ...held, error, isReading: false }));
    }
  };
  useEffect(() => {
    const reading = new AbortController();
    const timer = setTimeout(() => read(null, reading.signal), search ? PAUSE_MS : 0);
    return () => {
      clearTimeout(timer);
      reading.abort();
    };
  }, [kind, filter, search, round]);
  return { ...list, readOlder: () => read(list.next) };
}
