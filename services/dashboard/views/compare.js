// The view Compare: choose a model and a version, evaluate it in every backend, and read how the backends differ.

import { html, useState } from "../vendor/htm-preact-standalone.module.js";
import { api } from "../api.js";
import { BackendName } from "../components/backends.js";
import { CompareForm } from "../components/compare_form.js";
import { Evaluation } from "../components/compare_evaluation.js";
import { ParityCheck } from "../components/compare_parity.js";
import { Empty, Failure, Loading } from "../components/states.js";
import { hasEnded, useJob } from "../live.js";
import { useResource } from "../resources.js";
import { t } from "../texts.js";

/** The view of /compare?model=&version=. Without a model in the address, it shows the newest training's. */
export function View({ query }) {
  const models = useResource("/v1/models");
  const status = useResource("/v1/status");
  const newest = useResource("/v1/trainings?limit=1&search=succeeded&history=last");
  const failed = [models, status].find(({ error, data }) => error && !data);
  const isReady = models.data && status.data && !newest.isLoading;
  return html`
    <h1 tabindex="-1">${t("compare.title")}</h1>
    ${failed ? html`<${Failure} error=${failed.error} retry=${() => { models.reload(); status.reload(); }} />`
      : !isReady ? html`<${Loading} />`
      : models.data.models.length === 0
        ? html`<${Empty} title=${t("compare.no-model")}><p><a href="/train">${t("compare.train-one")}</a></p><//>`
        : html`<${Chosen} models=${models.data.models} order=${Object.keys(status.data.backends)}
            choice=${chooseModel(models.data.models, query, newest.data?.trainings[0])} />`}`;
}

/** Return which model and version the address means. `version` is null if there is no such version. */
function chooseModel(models, query, newestTraining) {
  const wanted = query.model ?? newestTraining?.name;
  const model = models.find(({ name }) => name === wanted) ?? (query.model ? null : models[0]);
  if (!model) return { name: query.model, model: null, version: null };
  const lists = Object.values(model.versions);
  const all = [...new Set(lists.flat())].sort((a, b) => b - a);
  const common = all.find((version) => lists.every((list) => list.includes(version)));
  const version = query.version ? Number(query.version) : common ?? all[0];
  return { name: model.name, model, version: all.includes(version) ? version : null, all };
}

function Chosen({ models, order, choice }) {
  const { name, model, version } = choice;
  const backends = model ? order.filter((backend) => model.versions[backend]?.includes(version)) : [];
  return html`
    <${CompareForm} models=${models} choice=${choice} />
    ${version === null ? html`<${Empty} title=${t("compare.no-version", { name })} />`
      : html`<${Comparison} key=${`${name} ${version}`} name=${name} version=${version} backends=${backends} order=${order} />`}`;
}

/** The newest evaluation of a version, and its parity certificate. */
function Comparison({ name, version, backends, order }) {
  const search = new URLSearchParams({ limit: 200, search: name }); // it finds other models, too
  const earlier = useResource(`/v1/evaluations?${search}`);
  const newest = earlier.data?.evaluations.find((each) => each.model === name && each.version === version && each.split === "test");
  const trainings = useResource(`/v1/trainings?${search}&history=last`);
  const training = trainings.data?.trainings.find((each) => each.name === name && each.version === version) ?? null;
  const [begun, setBegun] = useState({ id: null, error: null });
  const [chosen, setChosen] = useState(backends);
  const id = begun.id ?? newest?.id;
  const { job, error } = useJob(id ? `/v1/evaluations/${id}` : null);
  const isBusy = job !== null && !hasEnded(job.status);
  const begin = (event) => {
    event.preventDefault();
    const asked = backends.filter((backend) => chosen.includes(backend));
    api.post("/v1/evaluations", { model: name, version, backends: asked })
      .then((evaluation) => setBegun({ id: evaluation.id, error: null }))
      .catch((refusal) => setBegun({ id: begun.id, error: refusal }));
  };
  return html`
    <form class="row compare-begin" onSubmit=${begin}>
      <${BackendChoices} backends=${backends} order=${order} chosen=${chosen} setChosen=${setChosen} />
      <button class=${id ? "" : "primary"} disabled=${isBusy || chosen.length === 0}>${id ? t("compare.again") : t("compare.evaluate")}</button>
    </form>
    ${begun.error && html`<${Failure} error=${begun.error} />`}
    ${error && html`<${Failure} error=${error} />`}
    ${job ? html`<${Evaluation} evaluation=${job} order=${order} training=${training} />`
      : id || earlier.isLoading ? !error && html`<${Loading} />`
      : html`<${Empty} title=${t("compare.not-yet")}><p>${t("compare.not-yet-hint")}</p><//>`}
    <${ParityCheck} name=${name} version=${version} />`;
}

function BackendChoices({ backends, order, chosen, setChosen }) {
  if (backends.length < 2) return null;
  const change = (backend) => setChosen(chosen.includes(backend) ? chosen.filter((each) => each !== backend) : [...chosen, backend]);
  return html`
    <fieldset class="choices"><legend class="hidden">${t("compare.backends")}</legend>
      ${backends.map((backend) => html`<label key=${backend}>
        <input type="checkbox" checked=${chosen.includes(backend)} onChange=${() => change(backend)} />
        <${BackendName} backend=${backend} index=${order.indexOf(backend)} /></label>`)}
    </fieldset>`;
}
