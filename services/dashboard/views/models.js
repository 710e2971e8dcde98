// The view Models: every model with its versions. What a model consists of is read when it is opened, so that hundreds
// of models stay quick.

import { html, useState } from "../vendor/htm-preact-standalone.module.js";
import { BackendName } from "../components/backends.js";
import { ModelVersions } from "../components/models_versions.js";
import { Empty, Failure, Loading } from "../components/states.js";
import { useResource } from "../resources.js";
import { addressOf, navigate } from "../router.js";
import { number, t } from "../texts.js";

const PAGE = 50; // models that are listed before the user asks for more

/** The view of /models?model=. The model of the address is open. */
export function View({ query }) {
  const models = useResource("/v1/models");
  const status = useResource("/v1/status");
  const failed = [models, status].find(({ error, data }) => error && !data);
  return html`
    <h1 tabindex="-1">${t("models.title")}</h1>
    ${failed ? html`<${Failure} error=${failed.error} retry=${() => { models.reload(); status.reload(); }} />`
      : !models.data || !status.data ? html`<${Loading} />`
      : models.data.models.length === 0
        ? html`<${Empty} title=${t("models.none")}><p><a href="/train">${t("models.train-one")}</a></p><//>`
        : html`<${ModelList} models=${models.data.models} order=${Object.keys(status.data.backends)} opened=${query.model} reload=${models.reload} />`}`;
}

function ModelList({ models, order, opened, reload }) {
  const [search, setSearch] = useState("");
  const [limit, setLimit] = useState(PAGE);
  const words = search.toLowerCase().split(/\s+/);
  const found = models.filter(({ name }) => words.every((word) => name.includes(word)));
  const isBeyond = found.findIndex(({ name }) => name === opened) >= limit;
  const shown = isBeyond ? [...found.slice(0, limit), found.find(({ name }) => name === opened)] : found.slice(0, limit);
  return html`
    <div class="row models-search">
      <div class="field"><label for="models-search">${t("models.search")}</label>
        <input id="models-search" type="search" value=${search} onInput=${(event) => { setSearch(event.target.value); setLimit(PAGE); }} /></div>
      <p class="soft" role="status">${t("models.count", { count: number(found.length), all: number(models.length) })}</p>
    </div>
    ${found.length === 0 && html`<${Empty} title=${t("models.none-found")} />`}
    <ul class="models">${shown.map((model) => html`<li key=${model.name}>
      <${Model} model=${model} order=${order} isOpen=${model.name === opened} reload=${reload} /></li>`)}</ul>
    ${found.length > shown.length && html`<button type="button" onClick=${() => setLimit(limit + PAGE)}>${t("models.more")}</button>`}`;
}

/** A model, folded. Its address is that of the open one, so that a link leads to it and the back button closes it. */
function Model({ model, order, isOpen, reload }) {
  const versions = [...new Set(Object.values(model.versions).flat())].sort((a, b) => b - a);
  const backends = order.filter((backend) => model.versions[backend]);
  const toggle = (event) => {
    if (event.currentTarget.open !== isOpen) navigate(addressOf("models", isOpen ? {} : { model: model.name }), { replace: isOpen });
  };
  return html`
    <details open=${isOpen} onToggle=${toggle}>
      <summary><h2>${model.name}</h2>
        <span class="soft">${t(versions.length === 1 ? "models.one-version" : "models.versions", { count: number(versions.length), newest: versions[0] })}</span>
        <span class="models-backends">${backends.map((backend) => html`<${BackendName} key=${backend} backend=${backend} index=${order.indexOf(backend)} />`)}</span>
      </summary>
      ${isOpen && html`<${ModelVersions} model=${model} versions=${versions} order=${order} reload=${reload} />`}
    </details>`;
}
