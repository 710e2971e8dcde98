// The form that starts a release, of a version that exists or of one that is trained first.

import { html, useState } from "../vendor/htm-preact-standalone.module.js";
import { api } from "../api.js";
import { t } from "../texts.js";
import { Choice, NumberField } from "./fields.js";
import { versionsOf } from "./model_versions.js";
import { TrainingForm } from "./training_form.js";

/** The gates with the server's defaults. A test compares them, so they are written as JSON. */
const GATES = {
  "data": {"min_examples_per_class": 10, "max_duplicate_share": 0.01, "max_label_drift": 0.1, "max_pixel_drift": 0.05, "max_label_noise": 0.02},
  "accuracy": {"margin": 0.01, "confidence": 0.95},
  "parity": {"min_agreement": 0.95, "max_accuracy_difference": 0.02},
  "golden": {},
  "exports": null,
  "latency": {"rate": 20, "bound_ms": 100, "duration_s": 10}
};
const FORMATS = ["onnx", "html", "savedmodel", "litert", "litert-int8", "pt2"];
const PATH = "/v1/releases";

/**
 * The form.
 * @param {Object} props
 * @param {Object[]} props.models of GET /v1/models.
 * @param {Object} props.training what the form of a training needs.
 * @param {string} [props.model] the model to begin with.
 * @param {string} [props.version] its version.
 * @param {function(Object): void} props.onStart is called with the release that was started.
 */
export function ReleaseForm({ models, training, model, version, onStart }) {
  const [isTraining, setTraining] = useState(!models.length);
  const [gates, setGates] = useState(GATES);
  const fields = html`<${GateFields} gates=${gates} onChange=${setGates} />`;
  return html`<div class="stack">
    <fieldset class="choices"><legend class="hidden">${t("release.new")}</legend>
      ${["model", "train"].map((name) => html`<label><input type="radio" name="subject" checked=${isTraining === (name === "train")}
        disabled=${!models.length} onChange=${() => setTraining(name === "train")} />${t(`release.${name}`)}</label>`)}</fieldset>
    ${isTraining
      ? html`<${TrainingForm} ...${training} path=${PATH} bodyOf=${(train) => ({ train, gates: requestOf(gates) })} onStart=${onStart}>${fields}<//>`
      : html`<${ModelForm} models=${models} model=${model} version=${version} gates=${gates} onStart=${onStart}>${fields}<//>`}
  </div>`;
}

function ModelForm({ models, model, version = "", gates, children, onStart }) {
  const [chosen, setChosen] = useState({ model: models.find(({ name }) => name === model)?.name ?? models[0].name, version });
  const [submission, setSubmission] = useState({});
  const { versions } = models.find(({ name }) => name === chosen.model);
  const start = (event) => {
    event.preventDefault();
    setSubmission({ isSending: true });
    api.post(PATH, { model: chosen.model, version: Number(chosen.version) || null, gates: requestOf(gates) }).then(onStart, (error) => setSubmission({ error }));
  };
  return html`<form class="panel stack" onSubmit=${start} aria-label=${t("release.new")}>
    <h2>${t("release.new")}</h2>
    <div class="fields">
      <${Choice} id="model" label=${t("train.model")} value=${chosen.model} options=${models.map(({ name }) => name)}
        onChange=${(name) => setChosen({ model: name, version: "" })} />
      <${Choice} id="version" label=${t("load.version")} value=${chosen.version} options=${[["", t("load.newest")], ...versionsOf(versions).map(String)]}
        onChange=${(number) => setChosen({ ...chosen, version: number })} />
    </div>
    ${children}
    ${submission.error && html`<p class="field-error" role="alert">${submission.error.message}</p>`}
    <button class="primary" disabled=${submission.isSending}>${t("release.start")}</button></form>`;
}

/** Which gates there are, in their order, and their limits. An empty field means the server's default. */
function GateFields({ gates, onChange }) {
  const set = (gate, limits) => onChange({ ...gates, [gate]: limits });
  const formats = gates.exports ?? [];
  const toggle = (format) => {
    const left = FORMATS.filter((name) => (name === format) !== formats.includes(name));
    set("exports", left.length ? left : null);
  };
  return html`<details><summary>${t("release.gates")}: ${namesOf(gates)}</summary>
    <ol class="gates">${Object.keys(GATES).map((gate) => html`<li>
      ${gate === "exports" ? html`<fieldset class="choices"><legend>${t("release.gate-exports")}</legend>${FORMATS.map((format) => html`
          <label><input type="checkbox" checked=${formats.includes(format)} onChange=${() => toggle(format)} />${format}</label>`)}</fieldset>`
        : html`<label><input type="checkbox" checked=${gates[gate] !== null} onChange=${() => set(gate, gates[gate] ? null : GATES[gate])} />
            <strong>${t(`release.gate-${gate}`)}</strong></label>
          <div class="fields">${Object.entries(gates[gate] ?? {}).map(([name, value]) => html`<${NumberField} id=${name} label=${t(`release.${name}`)}
            value=${value} isOptional min="0" step="any" onChange=${(limit) => set(gate, { ...gates[gate], [name]: limit })} />`)}</div>`}
    </li>`)}</ol></details>`;
}

/** Write the names of the gates that are not left out. */
export function namesOf(gates) {
  return Object.keys(GATES).filter((gate) => gates[gate]).map((gate) => t(`release.gate-${gate}`)).join(", ");
}

/** Return the gates without the fields that the user left empty. */
function requestOf(gates) {
  return JSON.parse(JSON.stringify(gates, (_, value) => (value === "" ? undefined : value)));
}
