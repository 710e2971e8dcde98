// The form that starts a load test.

import { html, useState } from "../vendor/htm-preact-standalone.module.js";
import { api } from "../api.js";
import { duration, number, t } from "../texts.js";
import { BackendName, titleOf } from "./backends.js";
import { Choice, NumberField } from "./fields.js";

const SCENARIOS = ["server", "single_stream", "offline"];
const MAX_RATES = 16;
const MAX_RATE = 10_000;
const DEFAULTS = { scenario: "server", isSearch: false, rates: "20, 50", duration_s: 10, latency_bound_ms: 50, seed: 0, isRepeated: false };

/** Return the rates in a text such as "20, 50"; null if it is not a list of rates that the API takes. */
export function parseRates(text) {
  const rates = text.split(/[\s,;，；]+/).filter(Boolean).map(Number);
  const isValid = rates.length > 0 && rates.length <= MAX_RATES && rates.every((rate) => rate > 0 && rate <= MAX_RATE);
  return isValid ? rates : null;
}

/**
 * The form.
 * @param {Object} props
 * @param {Object[]} props.models of GET /v1/models.
 * @param {Object} props.status of GET /v1/status.
 * @param {string} [props.model] the model to begin with.
 * @param {string} [props.version] its version.
 * @param {function(Object): void} props.onStart is called with the load test that was started.
 */
export function LoadTestForm({ models, status, model, version, onStart }) {
  const all = Object.keys(status.backends);
  const first = models.find(({ name }) => name === model) ?? models.find(({ versions }) => all.every((name) => versions[name])) ?? models[0];
  const [settings, setSettings] = useState({ ...DEFAULTS, model: first.name, version: version ?? "", backends: all.filter((name) => first.versions[name]) });
  const [submission, setSubmission] = useState({ isSending: false, error: null });
  const change = (values) => setSettings((before) => ({ ...before, ...values }));
  const set = (field) => (value) => change({ [field]: value });
  const chosen = models.find(({ name }) => name === settings.model);
  const rates = parseRates(settings.rates);
  const isServer = settings.scenario === "server";
  const hasWrongRates = isServer && !settings.isSearch && !rates;
  const start = async (event) => {
    event.preventDefault();
    setSubmission({ isSending: true, error: null });
    try {
      onStart(await api.post("/v1/loadtests", requestOf(settings, rates)));
    } catch (error) {
      setSubmission({ isSending: false, error });
    }
  };
  const chooseModel = (name) => {
    const { versions } = models.find((entry) => entry.name === name);
    change({ model: name, version: "", backends: all.filter((backend) => versions[backend]) });
  };
  return html`
    <form class="load-form panel stack" onSubmit=${start} aria-label=${t("load.new")}>
      <h2>${t("load.new")}</h2>
      <div class="fields">
        <${Choice} id="model" label=${t("load.model")} value=${settings.model} options=${models.map(({ name }) => [name, name])} onChange=${chooseModel} />
        <${Choice} id="version" label=${t("load.version")} value=${settings.version} onChange=${set("version")}
          options=${[["", t("load.newest")], ...sharedVersions(chosen, settings.backends).map((known) => [String(known), String(known)])]} />
      </div>
      <${BackendChoice} all=${all} settings=${settings} published=${Object.keys(chosen.versions)} change=${change} />
      <fieldset class="field">
        <legend>${t("load.scenario")}</legend>
        ${SCENARIOS.map((scenario) => html`<label class="load-scenario" key=${scenario}>
          <input type="radio" name="scenario" checked=${settings.scenario === scenario} onChange=${() => change({ scenario })} />
          <span>${t(`load.${scenario}`)} <small>${t(`load.${scenario}-hint`)}</small></span></label>`)}
      </fieldset>
      ${isServer && html`<${RatesField} settings=${settings} isWrong=${hasWrongRates} change=${change} />`}
      <div class="fields">
        <${NumberField} id="duration" label=${t("load.duration")} value=${settings.duration_s} min="1" max="3600" step="any" onChange=${set("duration_s")} />
        <${NumberField} id="bound" label=${t("load.bound")} value=${settings.latency_bound_ms} min="0.001" step="any" onChange=${set("latency_bound_ms")} />
        <${NumberField} id="seed" label=${t("load.seed")} value=${settings.seed} min="0" max=${2 ** 32 - 1} step="1" onChange=${set("seed")} />
      </div>
      <p class="field-hint" role="status">${describeDuration(settings, rates)}</p>
      ${!status.loadtest.trainers.length && html`<p class="field-error">${t("load.no-tester")}</p>`}
      ${submission.error && html`<p class="field-error" role="alert">${submission.error.message}</p>`}
      <button class="primary" disabled=${submission.isSending || hasWrongRates || !settings.backends.length}>${t("load.start")}</button>
    </form>`;
}

function BackendChoice({ all, settings, published, change }) {
  const { backends, isRepeated } = settings;
  const toggle = (backend) => change({ backends: all.filter((other) => (other === backend) !== backends.includes(other)), version: "" });
  return html`
    <fieldset class="field">
      <legend>${t("load.backends")}</legend>
      <div class="choices">
        ${all.map((backend, index) => html`<label key=${backend}>
          <input type="checkbox" checked=${backends.includes(backend)} disabled=${!published.includes(backend)} onChange=${() => toggle(backend)} />
          <${BackendName} backend=${backend} index=${index} /></label>`)}
        ${backends.length === 1 && html`<label>
          <input type="checkbox" checked=${isRepeated} onChange=${() => change({ isRepeated: !isRepeated })} />
          ${t("load.repeat", { backend: titleOf(backends[0]) })}</label>`}
      </div>
      ${backends.length === 0 && html`<p class="field-error">${t("load.no-backend")}</p>`}
    </fieldset>`;
}

function RatesField({ settings, isWrong, change }) {
  return html`
    <fieldset class="field">
      <legend>${t("load.rates")}</legend>
      <div class="choices">
        ${[false, true].map((isSearch) => html`<label key=${isSearch}>
          <input type="radio" name="rates-kind" checked=${settings.isSearch === isSearch} onChange=${() => change({ isSearch })} />
          ${t(isSearch ? "load.rates-search" : "load.rates-list")}</label>`)}
      </div>
      ${settings.isSearch ? html`<p class="field-hint">${t("load.search-hint")}</p>` : html`
        <label class="hidden" for="rates">${t("load.rates")}</label>
        <input id="rates" inputmode="decimal" value=${settings.rates} aria-invalid=${isWrong} aria-describedby="rates-hint"
          onInput=${(event) => change({ rates: event.target.value })} />
        <p id="rates-hint" class=${isWrong ? "field-error" : "field-hint"}>
          ${t(isWrong ? "load.rates-wrong" : "load.rates-hint", { count: MAX_RATES, largest: number(MAX_RATE) })}</p>`}
    </fieldset>`;
}

/** Return the versions that all chosen backends have, newest first. */
function sharedVersions(model, backends) {
  const [first = [], ...others] = backends.map((backend) => model.versions[backend] ?? []);
  return first.filter((version) => others.every((versions) => versions.includes(version))).sort((a, b) => b - a);
}

function sidesOf({ backends, isRepeated }) {
  return backends.length === 1 && isRepeated ? [backends[0], backends[0]] : backends;
}

function describeDuration(settings, rates) {
  const sides = sidesOf(settings).length;
  const seconds = Number(settings.duration_s);
  const hasRates = settings.scenario === "server" && !settings.isSearch;
  if (!sides || !seconds || (hasRates && !rates)) return "";
  const count = hasRates ? rates.length : 1;
  const values = { sides, rates: count, seconds: duration(seconds), total: duration(sides * count * seconds) };
  return t(hasRates ? "load.expected-rates" : "load.expected", values);
}

/** Return the body of POST /v1/loadtests. */
function requestOf(settings, rates) {
  const { model, version, scenario, duration_s, latency_bound_ms, seed, isSearch } = settings;
  return {
    model, scenario, duration_s, latency_bound_ms, seed,
    backends: sidesOf(settings),
    ...(version && { version: Number(version) }),
    ...(scenario === "server" && { target_qps: isSearch ? "search" : rates }),
  };
}
