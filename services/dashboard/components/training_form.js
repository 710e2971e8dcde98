// The form that starts a training.

import { html, useState } from "../vendor/htm-preact-standalone.module.js";
import { api } from "../api.js";
import { t } from "../texts.js";
import { BackendName, titleOf } from "./backends.js";
import { DatasetField, firstDataset } from "./dataset_field.js";
import { Choice, NameField, NumberField } from "./fields.js";
import { NetworkEditor } from "./network_editor.js";

const SMALL_SPLIT = 5000; // training pictures; fewer need more epochs
const TINY_SPLIT = 640; // training pictures; fewer need small batches, so that an epoch has several steps
const LEARNING_RATES = { sgd: 0.01, adam: 0.001 };

/** Return settings with which a network learns something on a dataset. The user may change each of them. */
function suggestedSettings(network, dataset) {
  const pictures = dataset.sizes.train ?? 0;
  const isArticle = network === "article"; // it needs large steps; others would diverge
  const optimizer = isArticle ? "sgd" : "adam";
  return {
    optimizer,
    learning_rate: isArticle && pictures < SMALL_SPLIT ? 0.5 : LEARNING_RATES[optimizer],
    epochs: pictures < SMALL_SPLIT ? 20 : 10,
    batch_size: pictures < TINY_SPLIT ? 8 : "",
  };
}

/**
 * The form.
 * @param {Object} props
 * @param {Object[]} props.presets the networks of GET /v1/networks.
 * @param {Object[]} props.datasets of GET /v1/datasets.
 * @param {string[]} props.backends all backends' names.
 * @param {string} [props.dataset] the dataset to begin with.
 * @param {string} [props.path] where the training is submitted.
 * @param {function(Object): Object} [props.bodyOf] returns the body of the submission for a training's request.
 * @param {any} [props.children] more fields.
 * @param {function(Object): void} props.onStart is called with the job that was started.
 */
export function TrainingForm({ presets, datasets, backends, dataset, path = "/v1/trainings", bodyOf = (training) => training, children, onStart }) {
  const first = firstDataset(datasets, dataset);
  const [settings, setSettings] = useState({
    network: presets[0].name, dataset: first.name, seed: 0, pairing: "shared", schedule: "constant", precision: "float32", validation: 0,
    name: "", backends, ...suggestedSettings(presets[0].name, first),
  });
  const [edited, setEdited] = useState(new Set());
  const [submission, setSubmission] = useState({ isSending: false, error: null });

  const set = (field, value) => {
    setEdited((before) => new Set(before).add(field));
    setSettings((before) => ({ ...before, [field]: value }));
  };
  /** Change the network or the dataset, and with it the settings that the user has not edited. */
  const choose = (change) => setSettings((before) => {
    const { network, dataset: name } = { ...before, ...change };
    const suggested = suggestedSettings(network, datasets.find((entry) => entry.name === name));
    const untouched = Object.entries(suggested).filter(([field]) => !edited.has(field));
    return { ...before, ...change, ...Object.fromEntries(untouched) };
  });
  const chooseOptimizer = (name) => {
    set("optimizer", name);
    set("learning_rate", LEARNING_RATES[name]);
  };
  const field = (name) => ({ id: name, label: t(`train.${name}`), value: settings[name], onChange: (value) => set(name, value) });
  const start = async (event) => {
    event.preventDefault();
    setSubmission({ isSending: true, error: null });
    try {
      onStart(await api.post(path, bodyOf(requestOf(settings))));
      setSubmission({ isSending: false, error: null });
    } catch (error) {
      setSubmission({ isSending: false, error });
    }
  };

  return html`
    <form class="training-form panel stack" onSubmit=${start}>
      <${NetworkEditor} presets=${presets} dataset=${settings.dataset} network=${settings.network} onChange=${(network) => choose({ network })} />
      <${DatasetField} datasets=${datasets} name=${settings.dataset} onChange=${(name) => choose({ dataset: name })} />
      <div class="fields">
        <${NumberField} ...${field("epochs")} min="1" max="1000" />
        <${NumberField} ...${field("batch_size")} min="1" max="65536" isOptional placeholder="64" />
        <${Choice} ...${field("optimizer")} options=${Object.keys(LEARNING_RATES)} onChange=${chooseOptimizer} />
        <${NumberField} ...${field("learning_rate")} min="0" max="100" step="any" />
      </div>
      <details>
        <summary>${t("train.more-settings")}</summary>
        <div class="fields more">
          <${NumberField} ...${field("seed")} min="0" max=${2 ** 32 - 1} />
          <${Choice} ...${field("pairing")} options=${[["shared", t("train.pairing-shared")], ["native", t("train.pairing-native")]]} />
          <${Choice} ...${field("schedule")} options=${["constant", "cosine"]} />
          <${NumberField} ...${field("validation")} min="0" max="0.5" step="any" />
          <${Choice} ...${field("precision")} options=${["float32", "float64"]} />
          <${NameField} value=${settings.name} onChange=${(value) => set("name", value)} />
          <${BackendChoice} backends=${backends} chosen=${settings.backends} onChange=${(value) => set("backends", value)} />
        </div>
      </details>
      ${children}
      ${submission.error && html`<p class="field-error" role="alert">${submission.error.message}</p>`}
      <button class="primary" disabled=${submission.isSending || !settings.backends.length}>
        ${t("train.start", { backends: settings.backends.map(titleOf).join(" + ") })}</button>
    </form>`;
}

function BackendChoice({ backends, chosen, onChange }) {
  const toggle = (backend) => onChange(backends.filter((other) => (other === backend) !== chosen.includes(other)));
  return html`
    <fieldset class="field">
      <legend>${t("train.backends")}</legend>
      <div class="choices">
        ${backends.map((backend, index) => html`<label key=${backend}>
          <input type="checkbox" checked=${chosen.includes(backend)} onChange=${() => toggle(backend)} />
          <${BackendName} backend=${backend} index=${index} /></label>`)}
      </div>
    </fieldset>`;
}

/** Return the request of a training. Fields that the user left empty are left out. */
function requestOf(settings) {
  const { optimizer, learning_rate, batch_size, name, ...rest } = settings;
  return {
    ...rest,
    optimizer: { name: optimizer, learning_rate },
    ...(batch_size === "" ? {} : { batch_size }),
    ...(name === "" ? {} : { name }),
  };
}
