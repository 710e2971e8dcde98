// Earlier trainings, newest first, with a search. The server searches; older trainings are read when asked for.

import { html, useEffect, useState } from "../vendor/htm-preact-standalone.module.js";
import { api } from "../api.js";
import { addressOf } from "../router.js";
import { percent, t, time } from "../texts.js";
import { titleOf } from "./backends.js";
import { Empty, Failure, Loading, Status } from "./states.js";

const PAGE = 20;
const PAUSE_MS = 250; // after the last key, before the server is asked

/** List trainings. `round` changes when the list should be read again; `current` is the id of the training shown. */
export function TrainingList({ round, current }) {
  const [search, setSearch] = useState("");
  const list = useTrainings(search, round);
  return html`
    <section aria-labelledby="earlier" class="training-list">
      <div class="row list-head">
        <h2 id="earlier">${t("train.earlier")}</h2>
        <div class="field"><label for="search" class="hidden">${t("train.search")}</label>
          <input id="search" type="search" maxlength="100" placeholder=${t("train.search")} value=${search} onInput=${(event) => setSearch(event.target.value)} /></div>
      </div>
      ${list.error && html`<${Failure} error=${list.error} />`}
      ${!list.trainings ? !list.error && html`<${Loading} />` : list.trainings.length === 0
        ? html`<${Empty} title=${search ? t("train.none-found") : t("train.none-yet")} />`
        : html`<${Table} trainings=${list.trainings} current=${current} />`}
      ${list.next && html`<button type="button" disabled=${list.isReading} onClick=${list.readOlder}>${t("train.older")}</button>`}
    </section>`;
}

function Table({ trainings, current }) {
  return html`
    <div class="scroll">
      <table class="wide">
        <caption class="hidden">${t("train.earlier")}</caption>
        <thead><tr>
          <th scope="col">${t("train.model")}</th><th scope="col" class="optional">${t("train.network")}</th><th scope="col" class="optional">${t("train.dataset")}</th>
          <th scope="col">${t("train.status")}</th><th scope="col" class="figure">${t("train.test-accuracy")}</th><th scope="col" class="optional">${t("train.started")}</th>
        </tr></thead>
        <tbody>
          ${trainings.map((training) => html`<tr key=${training.id} class=${training.id === current ? "current" : null}>
            <th scope="row"><a href=${addressOf("train", { id: training.id })} aria-current=${training.id === current || null}>
              ${training.name} ${training.version}</a></th>
            <td class="optional">${typeof training.request.network === "string" ? training.request.network : t("train.custom")}</td>
            <td class="optional">${training.request.dataset}</td>
            <td><${Status} status=${training.status} /></td>
            <td class="figure">${accuraciesOf(training)}</td>
            <td class="optional">${time(training.created_at)}</td>
          </tr>`)}
        </tbody>
      </table>
    </div>`;
}

/** Return the newest test accuracy of each backend; one figure if all are equal. */
function accuraciesOf(training) {
  const found = Object.entries(training.runs).filter(([, run]) => run.history.length)
    .map(([backend, run]) => [backend, percent(run.history.at(-1).test_accuracy)]);
  const figures = new Set(found.map(([, figure]) => figure));
  if (figures.size < 2) return [...figures][0] ?? "–";
  return found.map(([backend, figure]) => `${titleOf(backend)} ${figure}`).join(", ");
}

function useTrainings(search, round) {
  const [list, setList] = useState({ trainings: null, next: null, error: null, isReading: false });
  const read = async (before, signal) => {
    const query = new URLSearchParams({ limit: PAGE, history: "last", ...(search && { search }), ...(before && { before }) });
    setList((held) => ({ ...held, isReading: true }));
    try {
      const { trainings, next } = await api.get(`/v1/trainings?${query}`, { signal });
      if (signal?.aborted) return;
      setList((held) => ({ trainings: before ? [...held.trainings, ...trainings] : trainings, next, error: null, isReading: false }));
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
  }, [search, round]);
  return { ...list, readOlder: () => read(list.next) };
}
