// The form that starts a search.

import { html, useState } from "../vendor/htm-preact-standalone.module.js";
import { api } from "../api.js";
import { t } from "../texts.js";
import { DatasetField, firstDataset } from "./dataset_field.js";
import { Choice, JsonField, NameField, NumberField, parseJson } from "./fields.js";

const QUICK = "quick"; // the server's own space
const EXAMPLE = `{
  "network": {"family": "mlp", "depth": {"range": [1, 3]}, "width": {"choice": [32, 64, 128]}},
  "optimizer.learning_rate": {"log_range": [0.001, 0.1]},
  "batch_size": {"choice": [16, 32, 64]}
}`;

/**
 * The form.
 * @param {{datasets: Object[], dataset?: string, onStart: function(Object): void}} props `dataset` is the name to begin
 *   with. `onStart` is called with the search that was started.
 */
export function SearchForm({ datasets, dataset, onStart }) {
  const [settings, setSettings] = useState({
    dataset: firstDataset(datasets, dataset).name, trials: 20, epochs: 5, sampler: "tpe", pruner: "hyperband", validation: 0.2, seed: 0, name: "",
  });
  const [space, setSpace] = useState(QUICK);
  const [text, setText] = useState(EXAMPLE);
  const [submission, setSubmission] = useState({});
  const isQuick = space === QUICK;
  const { value, problem } = isQuick ? { value: QUICK, problem: null } : parseJson(text);
  const refusal = submission.error?.message;
  const isAboutSpace = !isQuick && refusal?.startsWith("space");
  const set = (name, chosen) => setSettings((before) => ({ ...before, [name]: chosen }));
  const field = (name, key = `search.${name}`) => ({ id: name, label: t(key), value: settings[name], onChange: (chosen) => set(name, chosen) });
  const start = (event) => {
    event.preventDefault();
    setSubmission({ isSending: true });
    const { name, ...rest } = settings;
    api.post("/v1/searches", { ...rest, ...(name && { name }), space: value }).then(onStart, (error) => setSubmission({ error }));
  };
  return html`
    <form class="panel stack" onSubmit=${start} aria-label=${t("search.new")}>
      <h2>${t("search.new")}</h2>
      <${DatasetField} datasets=${datasets} name=${settings.dataset} onChange=${(name) => set("dataset", name)} />
      <${Choice} id="space" label=${t("search.space")} value=${space} onChange=${setSpace}
        options=${[[QUICK, t("search.space-quick")], ["json", t("search.space-json")]]} />
      ${!isQuick && html`<div><${JsonField} id="space" label=${t("search.json")} value=${text} message=${problem ?? (isAboutSpace && refusal)}
        onChange=${(written) => { setText(written); setSubmission({}); }} /></div>`}
      <div class="fields">
        <${NumberField} ...${field("trials")} min="1" max="500" />
        <${NumberField} ...${field("epochs", "train.epochs")} min="1" max="200" />
      </div>
      <div class="fields">
        <${Choice} ...${field("sampler")} options=${["tpe", "random", "grid"].map((name) => [name, t(`search.sampler-${name}`)])} />
        <${Choice} ...${field("pruner")} options=${["hyperband", "none"].map((name) => [name, t(`search.pruner-${name}`)])} />
      </div>
      <details><summary>${t("train.more-settings")}</summary>
        <div class="fields more">
          <${NumberField} ...${field("seed", "train.seed")} min="0" max=${2 ** 32 - 1} />
          <${NumberField} ...${field("validation", "train.validation")} min="0.001" max="0.5" step="any" />
          <${NameField} value=${settings.name} onChange=${(name) => set("name", name)} />
        </div></details>
      ${refusal && !isAboutSpace && html`<p class="field-error" role="alert">${refusal}</p>`}
      <button class="primary" disabled=${submission.isSending || problem}>${t("search.start")}</button>
    </form>`;
}
