// The view Load: start a load test, watch it, and read its report.

import { html } from "../vendor/htm-preact-standalone.module.js";
import { JobList } from "../components/job_list.js";
import { LoadTest } from "../components/load_test.js";
import { LoadTestForm } from "../components/load_test_form.js";
import { describeClaim, describeRequest } from "../components/load_test_words.js";
import { Empty, Failure, Loading, Status } from "../components/states.js";
import { useResource } from "../resources.js";
import { addressOf, navigate } from "../router.js";
import { t, time } from "../texts.js";

/** The view of /load?id=&model=&version=. With an id it shows that load test, else the form and earlier load tests. */
export function View({ query }) {
  return query.id ? html`<${LoadTest} key=${query.id} id=${query.id} />` : html`<${Overview} query=${query} />`;
}

function Overview({ query }) {
  const sources = [useResource("/v1/models"), useResource("/v1/status")];
  const [models, status] = sources.map(({ data }) => data);
  const failed = sources.find(({ error, data }) => error && !data);
  const columns = [
    { title: t("load.test"), cell: (test) => html`<${Summary} test=${test} />` },
    { title: t("train.status"), cell: (test) => html`<${Status} status=${test.status} />` },
    { title: t("train.started"), className: "optional", cell: ({ created_at }) => time(created_at) },
  ];
  return html`
    <h1 tabindex="-1">${t("load.title")}</h1>
    <p>${t("load.intro")}</p>
    <div class="columns equal">
      ${failed ? html`<${Failure} error=${failed.error} retry=${() => sources.forEach(({ reload }) => reload())} />`
        : !models || !status ? html`<${Loading} />`
        : !models.models.length ? html`<${Empty} title=${t("list.none-yet")}><a href="/train">${t("view.train")}</a><//>`
        : html`<${LoadTestForm} models=${models.models} status=${status} ...${query} onStart=${({ id }) => navigate(addressOf("load", { id }))} />`}
      <${JobList} kind="loadtests" title=${t("load.earlier")} columns=${columns} />
    </div>`;
}

/** What a load test was asked to do, and what it has shown. */
function Summary({ test }) {
  return html`<a href=${addressOf("load", { id: test.id })}>${t("load.test-of", test)}</a>
    <p class="soft">${[describeRequest(test.request), ...test.comparisons.map(describeClaim), test.valid === false && t("load.not-valid")].filter(Boolean).join(" · ")}</p>`;
}
