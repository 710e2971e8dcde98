// The form that starts a load test.

import { html, useState } from "../vendor/htm-preact-standalone.module.js";
import { api } from "../api.js";
import { duration, t } from "../texts.js";
import { BackendName, titleOf } from "./backends.js";
import { Choice, NumberField } from "./fields.js";

const SCENARIOS = ["server", "search", "single_stream", "offline"]; // `search` is the scenario `server` without given rates
const DEFAULTS = { scenario: "server", rates: "20, 50", duration_s: 10, latency_bound_ms: 50, seed: 0, isRepeated: false };

/**
 * The form.
 * @param {Object} props
 * @param {Object[]} props.models of GET /v1/models.
 * @param {Object} props.status of GET /v1/status.
 * @param {string} [props.model] the model to begin with.
 * @param {string} [props.version] its version.
 * @param {function(Object): void} props.onStart is called with the load test that was started.
 */
export function LoadTestForm({ models, status, model, version = "", onStart }) {
  const all = Object.keys(status.backends);
  const servedBy = ({ versions }) => all.filter((name) => versions[name]);
  const first = models.find(({ name }) => name === model) ?? models.find((entry) => servedBy(entry).length === all.length) ?? models[0];
  const [settings, setSettings] = useState({ ...DEFAULTS, model: first.name, version, backends: servedBy(first) });
  const [submission, setSubmission] = useState({});
  const change = (values) => setSettings((before) => ({ ...before, ...values }));
  const field = (name) => ({ id: name, label: t(`load.${name}`), value: settings[name], onChange: (value) => change({ [name]: value }) });
  const { backends, isRepeated, scenario } = settings;
  const chosen = models.find(({ name }) => name === settings.model);
  const chooseModel = (name) => change({ model: name, version: "", backends: servedBy(models.find((entry) => entry.name === name)) });
  const toggle = (backend) => change({ backends: all.filter((other) => (other === backend) !== backends.includes(other)), version: "" });
  const start = (event) => {
    event.preventDefault();
    setSubmission({ isSending: true });
    api.post("/v1/loadtests", requestOf(settings)).then(onStart, (error) => setSubmission({ error }));
  };
  return html`
    <form class="panel stack" onSubmit=${start} aria-label=${t("load.new")}>
      <h2>${t("load.new")}</h2>
      <div class="fields">
        <${Choice} id="model" label=${t("train.model")} value=${settings.model} options=${models.map(({ name }) => name)} onChange=${chooseModel} />
        <${Choice} ...${field("version")} options=${[["", t("load.newest")], ...sharedVersions(chosen, backends)]} />
      </div>
      <fieldset class="field"><legend>${t("train.backends")}</legend><div class="choices">
        ${all.map((backend, index) => html`<label>
          <input type="checkbox" checked=${backends.includes(backend)} disabled=${!chosen.versions[backend]} onChange=${() => toggle(backend)} />
          <${BackendName} backend=${backend} index=${index} /></label>`)}
        ${backends.length === 1 && html`<label>
          <input type="checkbox" checked=${isRepeated} onChange=${() => change({ isRepeated: !isRepeated })} />
          ${t("load.repeat", { backend: titleOf(backends[0]) })}</label>`}
      </div></fieldset>
      <${Choice} ...${field("scenario")} options=${SCENARIOS.map((name) => [name, t(`load.${name}`)])} />
      <div class="fields">
        ${scenario === "server" && html`<div class="field"><label for="rates">${t("load.rates")}</label>
          <input id="rates" required pattern="[0-9.,; ]+" title="20, 50" value=${settings.rates} onInput=${({ target }) => change({ rates: target.value })} /></div>`}
        <${NumberField} ...${field("duration_s")} min="1" max="3600" step="any" />
        <${NumberField} ...${field("latency_bound_ms")} min="0.001" step="any" />
        <${NumberField} ...${field("seed")} min="0" max=${2 ** 32 - 1} />
      </div>
      <p class="field-hint" role="status">${t("load.expected", { total: duration(timeUnderLoad(settings)) })}</p>
      ${submission.error && html`<p class="field-error" role="alert">${submission.error.message}</p>`}
      <button class="primary" disabled=${submission.isSending || !backends.length}>${t("load.start")}</button>
    </form>`;
}

/** Return the versions that all chosen backends have, newest first. */
function sharedVersions({ versions }, [first, ...others]) {
  const shared = (versions[first] ?? []).filter((version) => others.every((backend) => versions[backend].includes(version)));
  return shared.sort((a, b) => b - a).map(String);
}

function sidesOf({ backends, isRepeated }) {
  return backends.length === 1 && isRepeated ? [backends[0], backends[0]] : backends;
}

function ratesOf({ rates }) {
  return rates.split(/[\s,;]+/).filter(Boolean).map(Number);
}

/** Return how many seconds all sides are under load, in all. */
function timeUnderLoad(settings) {
  return sidesOf(settings).length * (settings.scenario === "server" ? ratesOf(settings).length : 1) * settings.duration_s;
}

/** Return the body of POST /v1/loadtests. */
function requestOf(settings) {
  const { model, version, scenario, duration_s, latency_bound_ms, seed } = settings;
  const kinds = { search: { scenario: "server", target_qps: "search" }, server: { scenario, target_qps: ratesOf(settings) } };
  return {
    model, duration_s, latency_bound_ms, seed, backends: sidesOf(settings),
    ...(version && { version: Number(version) }),
    ...(kinds[scenario] ?? { scenario }),
  };
}
