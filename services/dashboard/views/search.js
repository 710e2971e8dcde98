// The view Search: start a search for settings and networks, watch it, find earlier ones.

import { html } from "../vendor/htm-preact-standalone.module.js";
import { JobOverview, JobPage } from "../components/job_page.js";
import { SearchForm } from "../components/search_form.js";
import { SearchResult } from "../components/search_result.js";
import { addressOf, navigate } from "../router.js";
import { t } from "../texts.js";

/** The view of /search?id=&dataset=. With an id it shows that search, else the form and earlier searches. */
export function View({ query: { id, dataset } }) {
  if (id) {
    return html`<${JobPage} key=${id} kind="search" id=${id} earlier=${t("search.earlier")} describe=${describeRequest}
      show=${(search, path) => html`<${SearchResult} search=${search} path=${path} />`} />`;
  }
  return html`<${JobOverview} kind="search" title=${t("search.title")} intro=${t("search.intro")} earlier=${t("search.earlier")}
    describe=${describeRequest} sources=${["/v1/datasets"]}
    form=${({ datasets }) => html`<${SearchForm} datasets=${datasets} dataset=${dataset} onStart=${(begun) => navigate(addressOf("search", { id: begun.id }))} />`} />`;
}

function describeRequest({ request }) {
  return t("search.asked", { ...request, sampler: t(`search.sampler-${request.sampler}`) });
}
