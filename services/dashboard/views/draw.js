// The view Draw: every backend and the browser itself say what a drawing or a picture shows.

import { html, useEffect, useMemo, useRef, useState } from "../vendor/htm-preact-standalone.module.js";
import { api } from "../api.js";
import { colourOfBackend, titleOf } from "../components/backends.js";
import { Bars } from "../components/bars.js";
import { Pad } from "../components/pad.js";
import { Empty, Failure, Loading } from "../components/states.js";
import { askEveryone } from "../network/answers.js";
import { startModel } from "../network/background_model.js";
import { showPixels } from "../network/drawing.js";
import { useResource } from "../resources.js";
import { addressOf, navigate } from "../router.js";
import { language, number, percent, t } from "../texts.js";

const STARTER = "welcome";
const BROWSER = "browser";
const RETRY_MS = 2000; // until those that gave no answer are asked again
const PAUSE_MS = 40; // between two requests while the user draws
const QUIET_MS = 700; // after the last change, the answer is read out to users of screen readers

/** The view of /draw. Its query may have `model` and `version`. */
export function View({ query }) {
  const list = useResource("/v1/models");
  const status = useResource("/v1/status");
  return html`
    <h1 tabindex="-1">${t("view.draw")}</h1>
    <p>${t("draw.intro")}</p>
    ${list.data && status.data
      ? html`<${Choice} query=${query} models=${list.data.models} backends=${Object.keys(status.data.backends)} />`
      : list.error || status.error
        ? html`<${Failure} error=${list.error ?? status.error} retry=${() => { list.reload(); status.reload(); }} />`
        : html`<${Loading} />`}`;
}

function Choice({ query, models, backends }) {
  const [source, setSource] = useState(null);
  const usable = models.map(({ name, versions }) => ({ name, versions: backendsByVersion(versions, backends) }))
    .filter(({ versions }) => versions.size);
  if (!usable.length) {
    return html`<${Empty} title=${t("draw.none")}><p><a href="/train">${t("draw.none-hint")}</a></p><//>`;
  }
  const name = query.model ?? (usable.find((model) => model.name === STARTER) ?? usable[0]).name;
  const versions = usable.find((model) => model.name === name)?.versions ?? new Map();
  const version = Number(query.version) || newestOf(versions);
  const owners = versions.get(version) ?? [];
  const weightsOf = owners.includes(source) ? source : owners[0];
  const choose = (model, chosen) => navigate(addressOf("draw", { model, version: chosen }), { replace: true });
  return html`
    <div class="row draw-choice">
      <div class="field"><label for="draw-model">${t("draw.model")}</label>
        <select id="draw-model" value=${name} onChange=${(event) => choose(event.target.value)}>
          ${!versions.size && html`<option value=${name}>${name}</option>`}
          ${usable.map((model) => html`<option key=${model.name} value=${model.name}>${model.name}</option>`)}
        </select></div>
      <div class="field"><label for="draw-version">${t("draw.version")}</label>
        <select id="draw-version" value=${version} onChange=${(event) => choose(name, event.target.value)}>
          ${[...versions.keys()].map((each) => html`<option key=${each} value=${each}>${each}</option>`)}
        </select></div>
      ${owners.length > 1 && html`<div class="field"><label for="draw-weights">${t("draw.weights")}</label>
        <select id="draw-weights" value=${weightsOf} onChange=${(event) => setSource(event.target.value)}>
          ${owners.map((backend) => html`<option key=${backend} value=${backend}>${titleOf(backend)}</option>`)}
        </select></div>`}
    </div>
    ${owners.length
      ? html`<${Drawing} ...${{ name, version, backends, owners, weightsOf }} />`
      : html`<${Empty} title=${t(versions.size ? "draw.no-version" : "draw.no-model", { model: name, version })} />`}`;
}

/** Return a Map: version -> the backends that have it, newest first. Only backends of this server count. */
function backendsByVersion(versions, backends) {
  const found = new Map();
  const all = backends.flatMap((backend) => versions[backend] ?? []).sort((one, other) => other - one);
  for (const version of all) found.set(version, backends.filter((backend) => versions[backend]?.includes(version)));
  return found;
}

/** Return the newest version that the most backends have. */
function newestOf(versions) {
  const most = Math.max(...[...versions.values()].map((owners) => owners.length));
  return [...versions].find(([, owners]) => owners.length === most)?.[0];
}

function Drawing({ name, version, backends, owners, weightsOf }) {
  const detail = useResource(`/v1/models/${name}?version=${version}`);
  const manifest = detail.data?.manifests[weightsOf];
  const own = useBrowserModel(manifest, manifest && `/v1/models/${name}/${weightsOf}/${version}/weights.safetensors`);
  if (!manifest) return detail.error ? html`<${Failure} error=${detail.error} retry=${detail.reload} />` : html`<${Loading} />`;
  return html`<${Contest} key=${`${name}/${version}`} ...${{ name, version, backends, owners, manifest, own }} />`;
}

/** The hook that returns the browser's own model: {model, error}. Both are null while the weights are loading. */
function useBrowserModel(manifest, path) {
  const [state, setState] = useState({ path: null, model: null, error: null });
  useEffect(() => {
    if (!path) return undefined;
    const loading = new AbortController();
    let started = null;
    api.blob(path, { signal: loading.signal })
      .then((blob) => blob.arrayBuffer())
      .then((weights) => startModel(manifest.network, weights))
      .then((model) => {
        started = model;
        if (loading.signal.aborted) model.close();
        else setState({ path, model, error: null });
      })
      .catch((error) => loading.signal.aborted || setState({ path, model: null, error }));
    return () => {
      loading.abort();
      started?.close();
    };
  }, [path]);
  return state.path === path ? state : { model: null, error: null };
}

function Contest({ name, version, backends, owners, manifest, own }) {
  const isScaledOnly = manifest.prepare !== "ink";
  const [isLightOnDark, setLightOnDark] = useState(isScaledOnly);
  const [answer, setAnswer] = useState(null);
  const drawing = useRef(null);
  const retry = useRef(null);
  const query = new URLSearchParams({ model: name, version, backends: owners, prepared: true });
  const ask = useNewest(async () => {
    const asked = drawing.current;
    const found = asked && await askEveryone(asked, `/v1/predictions?${query}`, manifest, own.model);
    setAnswer(drawing.current ? found : null); // the user may have cleared the drawing meanwhile
    clearTimeout(retry.current);
    if (found && isIncomplete(found)) retry.current = setTimeout(ask, RETRY_MS);
  });
  const change = (changed) => {
    drawing.current = changed;
    if (!changed) setAnswer(null);
    ask();
  };
  useEffect(() => { ask(); }, [own.model]);
  useEffect(() => () => clearTimeout(retry.current), []);
  const contenders = useMemo(
    () => answer && contendersOf(answer, backends, owners, own, manifest.classes), [answer, own.error, language()]);
  const sentence = answer ? sentenceOf(contenders) : "";
  return html`
    <div class="columns">
      <div class="stack">
        <${Pad} isLightOnDark=${isLightOnDark} onChange=${change} />
        ${isScaledOnly && html`<div class="field choices">
          <label><input type="checkbox" checked=${isLightOnDark} onChange=${(event) => setLightOnDark(event.target.checked)} />${t("draw.light")}</label>
          <p class="field-hint">${t("draw.light-hint")}</p></div>`}
      </div>
      <div class="stack">
        ${answer
          ? html`<${Answers} ...${{ answer, contenders, sentence, manifest }} />`
          : html`<${Empty} title=${t("draw.empty")}><p>${t("draw.empty-hint", { classes: manifest.classes.slice(0, 20).join(", ") })}</p><//>`}
        <${Announcement} text=${sentence && `${contenders.find(({ probabilities }) => probabilities).text}. ${sentence}`} />
      </div>
    </div>`;
}

/**
 * The hook that returns a function that runs `work`. While it runs, further calls are remembered as one: it runs once
 * more after the end, with what is newest then. So requests never pile up.
 */
function useNewest(work) {
  const state = useRef({ isRunning: false, isWaiting: false });
  const newest = useRef(work);
  newest.current = work;
  return async () => {
    state.current.isWaiting = true;
    if (state.current.isRunning) return;
    state.current.isRunning = true;
    while (state.current.isWaiting) {
      state.current.isWaiting = false;
      await newest.current();
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
    state.current.isRunning = false;
  };
}

/** Return whether the server or one of its backends may answer if it is asked again: it was down or busy. */
function isIncomplete({ failure, errors }) {
  if (failure) return failure.isOffline || failure.status === 429 || failure.status >= 500;
  return Object.keys(errors).some((name) => name !== BROWSER);
}

/** Return a list of everyone who was asked: {key, title, name, mark, label, text, probabilities, ms, error}. */
function contendersOf(answer, backends, owners, own, classes) {
  const asked = owners.map((backend) => ({
    key: backend,
    title: titleOf(backend),
    name: titleOf(backend), // in a sentence
    mark: markOf(backends.indexOf(backend)),
    probabilities: answer.results[backend]?.probabilities,
    ms: answer.times[backend]?.compute,
    error: answer.errors[backend] ?? (answer.failure && answer.failure.message),
  }));
  asked.push({
    key: BROWSER,
    title: t("draw.browser"),
    name: t("draw.the-browser"),
    mark: { class: "draw-own", style: {} },
    probabilities: answer.browser?.probabilities,
    ms: answer.browser?.durationMs,
    error: own.error?.message ?? answer.errors[BROWSER] ?? t(answer.pixels || !answer.isOwnPreparation ? "draw.loading-weights" : "draw.blank"),
  });
  return asked.map((each) => {
    const label = each.probabilities && each.probabilities.indexOf(Math.max(...each.probabilities));
    return { ...each, label, text: classes[label] };
  });
}

/** Return the props of an element that shows a backend's colour. Every second backend also has a pattern. */
function markOf(index) {
  return { class: index % 2 ? "draw-striped" : "draw-plain", style: { color: `var(${colourOfBackend(index)})` } };
}

/** Return who agrees with whom, as a sentence. */
function sentenceOf(contenders) {
  const answered = contenders.filter(({ probabilities }) => probabilities);
  if (!answered.length) return "";
  const listed = (texts) => new Intl.ListFormat(language()).format(texts);
  if (new Set(answered.map(({ label }) => label)).size > 1) {
    return t("draw.disagree", { answers: listed(answered.map(({ name, text }) => t("draw.one", { name, answer: text }))) });
  }
  const names = listed(answered.map(({ name }) => name));
  return t(answered.length === 1 ? "draw.alone" : "draw.agree", { names });
}

/** Read a text out once it has not changed for a moment, so that a screen reader does not speak at every stroke. */
function Announcement({ text }) {
  const [spoken, setSpoken] = useState("");
  useEffect(() => {
    const timer = setTimeout(() => setSpoken(text), QUIET_MS);
    return () => clearTimeout(timer);
  }, [text]);
  return html`<p class="hidden draw-spoken" role="status">${spoken}</p>`;
}

function Answers({ answer, contenders, sentence, manifest }) {
  const answered = contenders.filter(({ probabilities }) => probabilities);
  const texts = [...new Set(answered.map(({ text }) => text))];
  const { failure } = answer;
  return html`
    ${failure && html`<p class="draw-notice">${failure.isOffline ? t("draw.offline") : t("draw.refused", { reason: failure.message })}</p>`}
    <div class="draw-result">
      ${answer.pixels && html`<${Seen} pixels=${answer.pixels} shape=${manifest.network.input_shape} />`}
      <div>
        <p class=${`draw-class ${texts.join("").length > 6 ? "long" : ""}`}>${texts.join(" / ") || "–"}</p>
        <p class="draw-sentence">${sentence}</p>
        ${answer.warnings.length > 0 && html`<ul class="draw-warnings">${answer.warnings.map((warning) => html`<li key=${warning}>${warning}</li>`)}</ul>`}
      </div>
    </div>
    <div class="scroll" tabindex="0" role="region" aria-label=${t("draw.answers")}><table class="draw-answers">
      <caption>${t("draw.answers")}</caption>
      <thead><tr><th scope="col">${t("draw.who")}</th><th scope="col">${t("draw.class")}</th>
        <th scope="col" class="figure">${t("draw.probability")}</th><th scope="col" class="figure">${t("draw.time")}</th></tr></thead>
      <tbody>${contenders.map(({ key, title, mark, text, label, probabilities, ms, error }) => html`
        <tr key=${key}><th scope="row"><span class="backend-name"><span class=${`draw-mark ${mark.class}`} style=${mark.style}></span>${title}</span></th>
          ${probabilities
            ? html`<td>${text}</td><td class="figure">${percent(probabilities[label], 2)}</td><td class="figure">${number(ms, 1)} ms</td>`
            : html`<td colspan="3">${t("draw.unanswered", { reason: error })}</td>`}</tr>`)}
      </tbody></table></div>
    ${answer.totalMs !== null && html`<p class="soft">${t("draw.total", { total: number(answer.totalMs, 1) })}</p>`}
    <h2>${t("draw.bars")}</h2>
    <${Bars} classes=${manifest.classes} contenders=${answered} />`;
}

/** The picture that the models saw, enlarged. */
function Seen({ pixels, shape }) {
  const canvas = useRef(null);
  useEffect(() => showPixels(canvas.current, pixels, shape), [pixels]);
  const [height, width] = shape;
  return html`
    <figure class="draw-seen">
      <canvas ref=${canvas} class="pixelated" role="img" aria-label=${t("draw.seen")}></canvas>
      <figcaption>${t("draw.seen")}<br /><span class="soft">${t("draw.seen-size", { width, height })}</span></figcaption>
    </figure>`;
}
