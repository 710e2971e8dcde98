// The view Train: start a training, watch it, and find earlier ones.

import { html, useState } from "../vendor/htm-preact-standalone.module.js";
import { Empty, Failure, Loading } from "../components/states.js";
import { TrainingForm } from "../components/training_form.js";
import { TrainingList } from "../components/training_list.js";
import { TrainingProgress } from "../components/training_progress.js";
import { useResource } from "../resources.js";
import { addressOf, navigate } from "../router.js";
import { t } from "../texts.js";

/** The view of /train?id=&dataset=. */
export function View({ query }) {
  const networks = useResource("/v1/networks");
  const datasets = useResource("/v1/datasets");
  const status = useResource("/v1/status");
  const [round, setRound] = useState(0);
  const sources = [networks, datasets, status];
  const failed = sources.find(({ error, data }) => error && !data);
  const readList = () => setRound((before) => before + 1);
  const begin = (training) => {
    readList();
    navigate(addressOf("train", { id: training.id }));
  };
  return html`
    <h1 tabindex="-1">${t("train.title")}</h1>
    <div class="columns">
      ${failed ? html`<${Failure} error=${failed.error} retry=${() => sources.forEach(({ reload }) => reload())} />`
        : sources.some(({ data }) => !data) ? html`<${Loading} />`
        : html`<${TrainingForm} presets=${networks.data.networks} datasets=${datasets.data.datasets}
            backends=${Object.keys(status.data.backends)} dataset=${query.dataset} onStart=${begin} />`}
      <div class="stack">
        ${query.id ? html`<${TrainingProgress} key=${query.id} id=${query.id} onEnd=${readList} />`
          : html`<${Empty} title=${t("train.nothing-chosen")}><p>${t("train.nothing-chosen-hint")}</p><//>`}
        <${TrainingList} round=${round} current=${query.id} />
      </div>
    </div>`;
}
