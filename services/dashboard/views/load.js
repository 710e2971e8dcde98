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
  const models = useResource("/v1/models");
  const status = useResource("/v1/status");
  const failed = [models, status].find(({ error, data }) => error && !data);
  const columns = [
    { title: t("load.test"), cell: (test) => html`<${Summary} test=${test} />` },
    { title: t("load.status"), cell: ({ status }) => html`<${Status} status=${status} />` },
    { title: t("load.started"), className: "optional", cell: ({ created_at }) => time(created_at) },
  ];
  const retry = () => [models, status].forEach(({ reload }) => reload());
  return html`
    <h1 tabindex="-1">${t("load.title")}</h1>
    <p>${t("load.intro")}</p>
    <div class="columns equal">
      ${failed ? html`<${Failure} error=${failed.error} retry=${retry} />`
        : !models.data || !status.data ? html`<${Loading} />`
        : !models.data.models.length ? html`<${Empty} title=${t("load.no-model")}>
            <p><a href="/train">${t("load.no-model-hint")}</a></p><//>`
        : html`<${LoadTestForm} models=${models.data.models} status=${status.data} model=${query.model} version=${query.version}
            onStart=${({ id }) => navigate(addressOf("load", { id }))} />`}
      <${JobList} kind="loadtests" title=${t("load.earlier")} columns=${columns} />
    </div>`;
}

/** What a load test was asked to do, and what it has shown. */
function Summary({ test }) {
  return html`<a href=${addressOf("load", { id: test.id })}>${t("load.name", test)}</a><small>${describeRequest(test.request)}</small>
    ${test.comparisons.map((pair) => html`<span key=${pair.backends.join()}>${describeClaim(pair)}</span>`)}
    ${test.valid === false && html`<span class="field-error">${t("load.not-valid")}</span>`}`;
}
