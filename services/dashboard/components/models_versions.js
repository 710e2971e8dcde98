// The versions of one model: figures and weights of each backend, the alias `stable`, links, deletion.

import { html, useState } from "../vendor/htm-preact-standalone.module.js";
import { api } from "../api.js";
import { useResource } from "../resources.js";
import { addressOf } from "../router.js";
import { bytes, number, percent, t, time } from "../texts.js";
import { BackendName, titleOf } from "./backends.js";
import { Deletion } from "./models_deletion.js";
import { Failure, Loading } from "./states.js";

const FIRST = 10; // versions that are shown before the user asks for all

/** Show a model's versions, newest first. `reload` reads the list of models again. */
export function ModelVersions({ model, versions, order, reload }) {
  const { name } = model;
  const [limit, setLimit] = useState(FIRST);
  const [refusal, setRefusal] = useState(null);
  const detail = useResource(`/v1/models/${encodeURIComponent(name)}`);
  const trainings = useResource(`/v1/trainings?${new URLSearchParams({ limit: 200, search: name, history: "last" })}`);
  if (!detail.data) return detail.error ? html`<${Failure} error=${detail.error} retry=${detail.reload} />` : html`<${Loading} />`;
  const makeStable = (version) => api.put(`/v1/models/${encodeURIComponent(name)}/aliases/stable`, { version })
    .then(() => { setRefusal(null); detail.reload(); })
    .catch(setRefusal);
  return html`
    <div class="models-versions">
      ${refusal && html`<${Failure} error=${refusal} />`}
      ${versions.slice(0, limit).map((version) => html`<${Version} key=${version} model=${model} version=${version} order=${order}
        training=${trainings.data?.trainings.find((each) => each.name === name && each.version === version)}
        isStable=${detail.data.aliases.stable === version} makeStable=${() => makeStable(version)} reload=${reload} />`)}
      ${versions.length > limit && html`<button type="button" onClick=${() => setLimit(versions.length)}>${t("models.all-versions", { count: number(versions.length) })}</button>`}
    </div>`;
}

function Version({ model, version, order, training, isStable, makeStable, reload }) {
  const detail = useResource(`/v1/models/${encodeURIComponent(model.name)}?version=${version}`);
  const query = { model: model.name, version };
  const backends = order.filter((backend) => model.versions[backend]?.includes(version));
  const heading = `version-${model.name}-${version}`;
  return html`
    <section class="panel models-version" aria-labelledby=${heading}>
      <div class="row">
        <h3 id=${heading}>${t("models.version", { version })}</h3>
        ${isStable && html`<strong class="models-stable">stable</strong>`}
        ${training && html`<span class="soft">${time(training.created_at)}</span>`}
        <span class="row end models-actions">
          <a href=${addressOf("draw", query)}>${t("models.draw")}</a>
          <a href=${addressOf("compare", query)}>${t("models.compare")}</a>
          ${training && html`<a href=${addressOf("train", { id: training.id })}>${t("models.training")}</a>`}
          ${!isStable && html`<button type="button" onClick=${makeStable}>${t("models.make-stable")}</button>`}
        </span>
      </div>
      <div class="scroll">
      <table>
        <caption class="hidden">${t("models.version-of", query)}</caption>
        <thead><tr><th scope="col">${t("models.backend")}</th><th scope="col" class="figure">${t("models.accuracy")}</th>
          <th scope="col" class="figure">${t("models.loss")}</th><th scope="col" class="figure">${t("models.size")}</th><td></td></tr></thead>
        <tbody>${backends.map((backend) => html`<${BackendRow} key=${backend} model=${{ name: model.name, backend, version }} index=${order.indexOf(backend)}
          manifest=${detail.data?.manifests[backend]} reload=${reload} />`)}</tbody>
      </table></div>
    </section>`;
}

function BackendRow({ model, index, manifest, reload }) {
  const path = `/v1/models/${model.name}/${model.backend}/${model.version}`;
  const size = manifest?.files["weights.safetensors"].size;
  const [refusal, setRefusal] = useState(null);
  const [isAsked, setAsked] = useState(false);
  const file = `${model.name}-${model.backend}-${model.version}.safetensors`;
  const label = { name: model.name, backend: titleOf(model.backend), version: model.version };
  return html`
    <tr><th scope="row"><${BackendName} backend=${model.backend} index=${index} /></th>
      <td class="figure" data-label=${t("models.accuracy")}>${percent(manifest?.metrics.test_accuracy)}</td>
      <td class="figure" data-label=${t("models.loss")}>${number(manifest?.metrics.test_loss, 4)}</td><td class="figure" data-label=${t("models.size")}>${size ? bytes(size) : "–"}</td>
      <td class="models-file"><button type="button" class="plain" aria-label=${t("models.download-label", label)}
          onClick=${() => api.download(`${path}/weights.safetensors`, file).then(() => setRefusal(null), setRefusal)}>${t("models.download")}</button>
        <button type="button" class="plain" aria-label=${t("models.delete-label", label)} onClick=${() => setAsked(true)}>${t("models.delete")}</button>
        ${refusal && html`<p class="field-error" role="alert">${refusal.message}</p>`}
        ${isAsked && html`<${Deletion} path=${path} label=${label} close=${() => setAsked(false)} done=${reload} />`}</td></tr>`;
}
