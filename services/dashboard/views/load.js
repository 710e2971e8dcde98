// The view Load: start a load test, watch it, read its report, find earlier ones.

import { html } from "../vendor/htm-preact-standalone.module.js";
import { JobOverview } from "../components/job_page.js";
import { LoadTest } from "../components/load_test.js";
import { LoadTestForm } from "../components/load_test_form.js";
import { describeClaim, describeRequest } from "../components/load_test_words.js";
import { Empty } from "../components/states.js";
import { addressOf, navigate } from "../router.js";
import { t } from "../texts.js";

/** The view of /load?id=&model=&version=. With an id it shows that load test, else the form and earlier load tests. */
export function View({ query }) {
  if (query.id) return html`<${LoadTest} key=${query.id} id=${query.id} />`;
  return html`<${JobOverview} kind="loadtest" title=${t("load.title")} intro=${t("load.intro")} earlier=${t("load.earlier")} describe=${describeTest}
    sources=${["/v1/models", "/v1/status"]} form=${({ models }, status) => (models.length
      ? html`<${LoadTestForm} models=${models} status=${status} ...${query} onStart=${({ id }) => navigate(addressOf("load", { id }))} />`
      : html`<${Empty} title=${t("list.none-yet")}><a href="/train">${t("view.train")}</a><//>`)} />`;
}

/** What a load test was asked to do, and what it has shown. */
function describeTest({ request, comparisons, valid }) {
  return [describeRequest(request), ...comparisons.map(describeClaim), valid === false && t("load.not-valid")].filter(Boolean).join(" · ");
}
