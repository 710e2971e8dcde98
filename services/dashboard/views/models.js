// The view Models: every model, and the versions of the chosen one with their figures, weights and the alias `stable`.

import { html, useEffect, useMemo, useRef, useState } from "../vendor/htm-preact-standalone.module.js";
import { api } from "../api.js";
import { BackendName, titleOf } from "../components/backends.js";
import { DeleteButton } from "../components/delete_button.js";
import { Exports } from "../components/exports.js";
import { JobTable } from "../components/job_list.js";
import { versionsOf } from "../components/model_versions.js";
import { Empty, Failure, Loading } from "../components/states.js";
import { useResource } from "../resources.js";
import { addressOf } from "../router.js";
import { bytes, number, percent, t } from "../texts.js";

const FIRST = 10; // versions that are shown before the user asks for all
const FIRST_MODELS = 100; // models that are shown before the user asks for all
const SEARCHED_FROM = 20; // as many models have a search field

/** The view of /models?model=. The versions of the address's model are shown above the list of models. */
export function View({ query }) {
  const models = useResource("/v1/models");
  const status = useResource("/v1/status");
  const order = Object.keys(status.data?.backends ?? {});
  const rows = useMemo(() => models.data?.models.map((model) => ({ id: model.name, ...model })), [models.data, status.data]);
  const chosen = rows?.find(({ name }) => name === query.model);
  const columns = [
    { title: t("train.model"), cell: ({ name }) => html`<a href=${addressOf("models", { model: name })}>${name}</a>` },
    { title: t("models.versions"), className: "figure", cell: ({ versions }) => number(versionsOf(versions).length) },
    { title: t("train.backends"), cell: ({ versions }) => html`<div class="row">${order.filter((backend) => versions[backend])
      .map((backend) => html`<${BackendName} backend=${backend} index=${order.indexOf(backend)} />`)}</div>` },
  ];
  return html`
    <h1 tabindex="-1">${t("view.models")}</h1>
    ${!rows ? models.error ? html`<${Failure} error=${models.error} retry=${models.reload} />` : html`<${Loading} />`
      : !rows.length ? html`<${Empty} title=${t("list.none-yet")}><a href="/train">${t("view.train")}</a><//>`
      : html`${chosen && html`<${Versions} key=${chosen.name} model=${chosen} order=${order} reload=${models.reload} />`}
        <${ModelTable} models=${rows} columns=${columns} current=${query.model} />`}`;
}

/** The models whose names contain a text, page by page: a table of thousands of rows takes seconds to draw. */
function ModelTable({ models, columns, current }) {
  const [search, setSearch] = useState("");
  const [limit, setLimit] = useState(FIRST_MODELS);
  const found = useMemo(() => models.filter(({ name }) => name.includes(search.trim().toLowerCase())), [models, search]);
  return html`
    ${models.length >= SEARCHED_FROM && html`<div class="row list-head"><div class="field"><label for="models-search" class="hidden">${t("models.search")}</label>
      <input id="models-search" type="search" maxlength="63" placeholder=${t("models.search")} value=${search} onInput=${({ target }) => setSearch(target.value)} /></div></div>`}
    ${!found.length ? html`<${Empty} title=${t("list.none-found")} />`
      : html`<${JobTable} jobs=${found.slice(0, limit)} title=${t("view.models")} columns=${columns} current=${current} />`}
    ${found.length > limit && html`<button type="button" onClick=${() => setLimit(found.length)}>${t("compare.all", { count: number(found.length) })}</button>`}`;
}

function Versions({ model: { name, versions }, order, reload }) {
  const path = `/v1/models/${name}`;
  const detail = useResource(path);
  const title = useRef(null);
  const [limit, setLimit] = useState(FIRST);
  const [refusal, setRefusal] = useState(null);
  const all = versionsOf(versions);
  const stable = detail.data?.aliases.stable;
  useEffect(() => title.current.focus(), []); // so that a screen reader says what the link led to
  const move = (version) => api.put(`${path}/aliases/stable`, { version }).then(() => { setRefusal(null); detail.reload(); }, setRefusal);
  const error = refusal ?? detail.error;
  return html`
    <section class="models-versions stack" aria-label=${name}>
      <h2 ref=${title} tabindex="-1">${name}</h2>
      ${error && html`<${Failure} error=${error} />`}
      ${all.slice(0, limit).map((version) => html`<section key=${version} aria-label=${t("models.version", { version })}>
        <div class="row">
          <h3>${t("models.version", { version })}</h3>
          ${version === stable ? html`<strong class="status status-succeeded">stable</strong>`
            : html`<button type="button" onClick=${() => move(version)}>${t("models.make-stable")}</button>`}
          ${["draw", "compare", "releases"].map((view) => html`<a href=${addressOf(view, { model: name, version })}>${t(`view.${view}`)}</a>`)}
        </div>
        <${Version} name=${name} version=${version} order=${order} reload=${reload} setRefusal=${setRefusal}
          backends=${order.filter((backend) => versions[backend]?.includes(version))} /></section>`)}
      ${all.length > limit && html`<button type="button" onClick=${() => setLimit(all.length)}>${t("compare.all", { count: all.length })}</button>`}
    </section>`;
}

/** A row per backend: its figures, and what can be done with its weights. */
function Version({ name, version, backends, order, reload, setRefusal }) {
  const detail = useResource(`/v1/models/${name}?version=${version}`);
  const rows = backends.map((id) => ({
    ...detail.data?.manifests[id], id, path: `/v1/models/${name}/${id}/${version}`, label: `${name} ${version}, ${titleOf(id)}`,
  }));
  return html`<${JobTable} jobs=${rows} title=${t("models.version", { version })} columns=${[
    { title: t("models.backend"), cell: ({ id }) => html`<${BackendName} backend=${id} index=${order.indexOf(id)} />` },
    { title: t("train.test-accuracy"), className: "figure", cell: ({ metrics }) => percent(metrics?.test_accuracy) },
    { title: t("train.test-loss"), className: "figure optional", cell: ({ metrics }) => number(metrics?.test_loss, 4) },
    { title: t("models.weights"), className: "figure", cell: ({ id, files, path, label }) => html`<div class="row end">
      ${files && bytes(files["weights.safetensors"].size)}
      <button type="button" class="plain" aria-label=${`${t("models.download")} ${label}`}
        onClick=${() => api.download(`${path}/weights.safetensors`, `${name}-${id}-${version}.safetensors`).catch(setRefusal)}>${t("models.download")}</button>
      <${DeleteButton} path=${path} name=${label} hint=${t("models.delete-hint")} onDelete=${reload} /></div>` },
  ]} /><${Exports} models=${rows} />`;
}
