// Earlier load tests, newest first. Older ones are read when asked for.

import { html, useState } from "../vendor/htm-preact-standalone.module.js";
import { api } from "../api.js";
import { useResource } from "../resources.js";
import { addressOf } from "../router.js";
import { t, time } from "../texts.js";
import { describeClaim, describeRequest } from "./load_test_words.js";
import { Empty, Failure, Loading, Status } from "./states.js";

const PAGE = 10;
const EVERY_MS = 5000;

/** List the newest load tests with what each has shown. */
export function LoadTestList() {
  const newest = useResource(`/v1/loadtests?limit=${PAGE}`, { every: EVERY_MS });
  const [older, setOlder] = useState({ loadtests: [], next: undefined, error: null });
  if (!newest.data) return newest.error ? html`<${Failure} error=${newest.error} retry=${newest.reload} />` : html`<${Loading} />`;
  const next = older.next === undefined ? newest.data.next : older.next;
  const readOlder = async () => {
    try {
      const page = await api.get(`/v1/loadtests?limit=${PAGE}&before=${next}`);
      setOlder((held) => ({ loadtests: [...held.loadtests, ...page.loadtests], next: page.next, error: null }));
    } catch (error) {
      setOlder((held) => ({ ...held, error }));
    }
  };
  const shown = new Map([...newest.data.loadtests, ...older.loadtests].map((test) => [test.id, test]));
  return html`
    <section aria-labelledby="earlier-load">
      <h2 id="earlier-load">${t("load.earlier")}</h2>
      ${shown.size === 0 && html`<${Empty} title=${t("load.none-yet")}><p>${t("load.none-yet-hint")}</p><//>`}
      <ul class="load-list">${[...shown.values()].map((test) => html`<${Entry} key=${test.id} test=${test} />`)}</ul>
      ${older.error && html`<${Failure} error=${older.error} />`}
      ${next && html`<button type="button" onClick=${readOlder}>${t("load.older")}</button>`}
    </section>`;
}

function Entry({ test }) {
  return html`
    <li>
      <p class="load-entry-head"><a href=${addressOf("load", { id: test.id })}>${t("load.name", test)}</a>
        <${Status} status=${test.status} /><small>${time(test.created_at)}</small></p>
      <p class="soft">${describeRequest(test.request)}</p>
      ${test.comparisons.map((pair) => html`<p key=${pair.backends.join()}>${describeClaim(pair)}</p>`)}
      ${test.valid === false && html`<p class="field-error">${t("load.not-valid")}</p>`}
    </li>`;
}
