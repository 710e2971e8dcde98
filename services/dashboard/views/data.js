// The view Data: the datasets, their pictures, and uploads.

import { html } from "../vendor/htm-preact-standalone.module.js";
import { DatasetDetail } from "../components/dataset_detail.js";
import { DatasetList } from "../components/dataset_list.js";
import { DatasetUpload } from "../components/dataset_upload.js";
import { Empty, Failure, Loading } from "../components/states.js";
import { useResource } from "../resources.js";
import { addressOf, navigate } from "../router.js";
import { t } from "../texts.js";

const EVERY_MS = 10_000; // the server checks the pictures of large folders a few seconds at a time

/** The view of /data?name=. With a name it shows that dataset, else the list and the upload. */
export function View({ query }) {
  const { data, error, reload } = useResource("/v1/datasets", { every: EVERY_MS });
  const title = html`<h1 tabindex="-1">${t("data.title")}</h1>`;
  if (!data) return html`${title}${error ? html`<${Failure} error=${error} retry=${reload} />` : html`<${Loading} />`}`;
  const chosen = data.datasets.find(({ name }) => name === query.name);
  if (chosen) return html`<${DatasetDetail} key=${chosen.name} dataset=${chosen} onDelete=${reload} />`;
  const open = async ({ name }) => {
    reload();
    navigate(addressOf("data", { name }));
  };
  return html`
    ${title}
    <p>${t("data.intro")}</p>
    ${query.name && html`<${Empty} title=${t("data.unknown", { name: query.name })}><p><a href="/data">${t("data.all")}</a></p><//>`}
    <div class="columns data-columns">
      <${DatasetList} datasets=${data.datasets} />
      <${DatasetUpload} datasets=${data.datasets} onStored=${open} />
    </div>`;
}
