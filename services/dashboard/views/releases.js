// The view Releases: check a version with gates and make it `stable`, watch the gates, revert, find earlier releases.

import { html } from "../vendor/htm-preact-standalone.module.js";
import { JobOverview, JobPage } from "../components/job_page.js";
import { ReleaseForm, namesOf } from "../components/release_form.js";
import { ReleaseResult, describeStable } from "../components/release_result.js";
import { addressOf, navigate } from "../router.js";
import { t } from "../texts.js";

/** The view of /releases?id=&model=&version=. With an id it shows that release, else the form and earlier releases. */
export function View({ query: { id, ...subject } }) {
  if (id) {
    return html`<${JobPage} key=${id} kind="release" id=${id} earlier=${t("release.earlier")} describe=${({ request }) => namesOf(request.gates)}
      show=${(release, path) => html`<${ReleaseResult} release=${release} path=${path} />`} />`;
  }
  return html`<${JobOverview} kind="release" title=${t("release.title")} intro=${t("release.intro")} earlier=${t("release.earlier")}
    describe=${(release) => release.error ?? describeStable(release)} sources=${["/v1/models", "/v1/networks", "/v1/datasets", "/v1/status"]}
    form=${({ models }, { networks }, { datasets }, { backends }) => html`<${ReleaseForm} models=${models} ...${subject}
      training=${{ presets: networks, datasets, backends: Object.keys(backends) }} onStart=${(begun) => navigate(addressOf("releases", { id: begun.id }))} />`} />`;
}
