// The view Draw: every framework and the browser itself say what a drawing or a picture shows.

import { html, useEffect, useRef, useState } from "../vendor/htm-preact-standalone.module.js";
import { api } from "../api.js";
import { colourOfBackend, titleOf } from "../components/backends.js";
import { Choice } from "../components/fields.js";
import { Pad } from "../components/pad.js";
import { Empty, Failure, Loading } from "../components/states.js";
import { askEveryone } from "../network/answers.js";
import { showPixels } from "../network/drawing.js";
import { startModel } from "../network/worker.js";
import { useResource } from "../resources.js";
import { addressOf, navigate } from "../router.js";
import { percent, t } from "../texts.js";

const STARTER = "welcome";
const MOST_CLASSES = 20; // that are shown; with more, the most probable ones
const RETRY_MS = 2000; // until those that gave no answer are asked again
const PAUSE_MS = 40; // between two requests while the user draws
const QUIET_MS = 700; // after the last change, the answer is read out to users of screen readers

/** The view of /draw. Its query may have `model` and `version`. */
export function View({ query }) {
  const list = useResource("/v1/models");
  const status = useResource("/v1/status");
  const error = list.error ?? status.error;
  return html`
    <h1 tabindex="-1">${t("view.draw")}</h1>
    ${list.data && status.data
      ? html`<${ModelChoice} query=${query} models=${list.data.models} backends=${Object.keys(status.data.backends)} />`
      : error ? html`<${Failure} error=${error} retry=${() => { list.reload(); status.reload(); }} />` : html`<${Loading} />`}`;
}

function ModelChoice({ query, models, backends }) {
  const [source, setSource] = useState(null);
  if (!models.length) return html`<${Empty} title=${t("draw.none")}><p><a href="/train">${t("draw.none-hint")}</a></p><//>`;
  const name = query.model ?? (models.find((model) => model.name === STARTER) ?? models[0]).name;
  const held = models.find((model) => model.name === name)?.versions ?? {};
  const versions = [...new Set(backends.flatMap((backend) => held[backend] ?? []))].sort((one, other) => other - one);
  const ownersOf = (version) => backends.filter((backend) => held[backend]?.includes(version));
  const version = Number(query.version) || (versions.find((each) => ownersOf(each).length === backends.length) ?? versions[0]);
  const owners = ownersOf(version);
  const weightsOf = owners.includes(source) ? source : owners[0];
  const choose = (model, chosen) => navigate(addressOf("draw", { model, version: chosen }), { replace: true });
  return html`
    <div class="fields">
      <${Choice} id="draw-model" label=${t("draw.model")} value=${name} options=${models.map((model) => model.name)} onChange=${choose} />
      <${Choice} id="draw-version" label=${t("draw.version")} value=${version} options=${versions} onChange=${(chosen) => choose(name, chosen)} />
      <${Choice} id="draw-weights" label=${t("draw.weights")} value=${weightsOf} onChange=${setSource}
        options=${owners.map((backend) => [backend, titleOf(backend)])} />
    </div>
    ${owners.length
      ? html`<${Drawing} key=${`${name}/${weightsOf}/${version}`} ...${{ name, version, backends, owners, weightsOf }} />`
      : html`<${Empty} title=${t("draw.missing", { name: `${name} ${query.version ?? ""}` })} />`}`;
}

function Drawing({ name, version, backends, owners, weightsOf }) {
  const detail = useResource(`/v1/models/${name}?version=${version}`);
  const manifest = detail.data?.manifests[weightsOf];
  const own = useOwnModel(manifest?.network, `/v1/models/${name}/${weightsOf}/${version}/weights.safetensors`);
  if (detail.error) return html`<${Failure} error=${detail.error} retry=${detail.reload} />`;
  if (!manifest) return html`<${Loading} />`;
  return html`<${Contest} ...${{ name, version, backends, owners, manifest, own }} />`;
}

/** The hook that returns the browser's own model: {model, error}. Both are null while the weights are loading. */
function useOwnModel(network, path) {
  const [own, setOwn] = useState({ model: null, error: null });
  const [attempt, setAttempt] = useState(0);
  useEffect(() => {
    if (!network) return undefined;
    const loading = new AbortController();
    const { signal } = loading;
    api.blob(path, { signal })
      .then((blob) => blob.arrayBuffer())
      .then((weights) => startModel(network, weights))
      .then((model) => {
        if (signal.aborted) return model.close();
        signal.addEventListener("abort", model.close);
        return setOwn({ model, error: null });
      })
      .catch((error) => {
        if (signal.aborted) return;
        setOwn({ model: null, error });
        if (error.isOffline) {
          const timer = setTimeout(() => setAttempt(attempt + 1), RETRY_MS);
          signal.addEventListener("abort", () => clearTimeout(timer));
        }
      });
    return () => loading.abort();
  }, [network, attempt]);
  return own;
}

function Contest({ name, version, backends, owners, manifest, own }) {
  const isScaledOnly = manifest.prepare !== "ink";
  const [isLightOnDark, setLightOnDark] = useState(isScaledOnly);
  const [answer, setAnswer] = useState(null);
  const drawing = useRef(null);
  const retry = useRef(null);
  const ask = useNewest(async () => {
    clearTimeout(retry.current);
    const asked = drawing.current;
    const query = new URLSearchParams({ model: name, version, backends: owners, prepared: true });
    const found = asked && await askEveryone(asked, `/v1/predictions?${query}`, manifest, own.model);
    setAnswer(drawing.current && found); // the user may have cleared the drawing meanwhile
    if (found && mayAnswerLater(found)) retry.current = setTimeout(ask, RETRY_MS);
  });
  const change = (changed) => {
    drawing.current = changed;
    ask();
  };
  useEffect(() => { ask(); }, [own.model]);
  useEffect(() => () => clearTimeout(retry.current), []);
  return html`
    <div class="columns">
      <div>
        <${Pad} isLightOnDark=${isLightOnDark} onChange=${change} />
        ${isScaledOnly && html`<label class="choices"><input type="checkbox" checked=${isLightOnDark}
          onChange=${({ target }) => setLightOnDark(target.checked)} />${t("draw.light")}</label>`}
      </div>
      ${answer ? html`<${Answers} ...${{ answer, backends, owners, manifest, own }} />`
        : html`<${Empty} title=${t("draw.empty")}><p>${manifest.classes.slice(0, MOST_CLASSES).join(", ")}</p><//>`}
    </div>`;
}

/**
 * The hook that returns a function that runs `work`. While it runs, further calls are remembered as one: it runs once
 * more after the end, with what is newest then. So requests never pile up.
 */
function useNewest(work) {
  const state = useRef({ isRunning: false, isWaiting: false }).current;
  state.work = work;
  return async () => {
    state.isWaiting = true;
    if (state.isRunning) return;
    state.isRunning = true;
    while (state.isWaiting) {
      state.isWaiting = false;
      await state.work();
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
    state.isRunning = false;
  };
}

/** Return whether the server or one of its backends may answer if it is asked again: it was down or busy. */
function mayAnswerLater({ failure, errors }) {
  return failure ? failure.isOffline || failure.status === 429 || failure.status >= 500 : Object.keys(errors).length > 0;
}

function Answers({ answer, backends, owners, manifest, own }) {
  const { classes, network } = manifest;
  const columns = owners.map((backend) => ({
    title: titleOf(backend),
    colour: colourOfBackend(backends.indexOf(backend)),
    values: answer.results[backend]?.probabilities,
    error: answer.errors[backend],
  }));
  const loading = own.model ? null : t("state.loading");
  columns.push({ title: t("draw.browser"), colour: "--text", values: answer.own, error: (own.error ?? answer.ownError)?.message ?? loading });
  const answered = columns.filter(({ values }) => values);
  const texts = [...new Set(answered.map(({ values }) => classes[values.indexOf(Math.max(...values))]))];
  const verdict = answered.length > 1 ? t(texts.length > 1 ? "draw.disagree" : "draw.agree") : "";
  const { failure } = answer;
  const notes = [failure && (!failure.isOffline ? failure.message : t(answer.own ? "draw.offline" : "state.offline")), answer.pixels === null && t("draw.blank"),
    ...answer.warnings, ...columns.map(({ title, error }) => error && `${title}: ${error}`)].filter(Boolean);
  return html`
    <div>
      <div class="draw-result">
        ${answer.pixels && html`<${Seen} pixels=${answer.pixels} shape=${network.input_shape} />`}
        <div><p class=${`draw-class ${texts.join("").length > 6 ? "long" : ""}`}>${texts.join(" / ")}</p><p>${verdict}</p></div>
      </div>
      <ul class="draw-notes">${notes.map((note) => html`<li key=${note}>${note}</li>`)}</ul>
      <${Probabilities} classes=${classes} columns=${columns} />
      <${Announcement} text=${`${texts.join(" / ")} ${verdict}`} />
    </div>`;
}

/** The picture that the models saw, enlarged. */
function Seen({ pixels, shape }) {
  const canvas = useRef(null);
  useEffect(() => showPixels(canvas.current, pixels, shape), [pixels]);
  return html`<figure><canvas ref=${canvas} class="pixelated" role="img" aria-label=${t("draw.seen")}></canvas>
    <figcaption class="soft">${t("draw.seen")}</figcaption></figure>`;
}

/** A table with a row for each class and a column for each answer. Below each probability is its bar. */
function Probabilities({ classes, columns }) {
  const likelihood = classes.map((_, label) => Math.max(...columns.map(({ values }) => values?.[label] ?? 0)));
  const threshold = likelihood.toSorted((one, other) => other - one)[MOST_CLASSES - 1] ?? 0;
  return html`
    <div class="scroll" tabindex="0" role="region" aria-label=${t("draw.bars")}><table class="wide draw-bars">
      <caption>${t("draw.bars")}</caption>
      <thead><tr><th scope="col">${t("draw.class")}</th>${columns.map(({ title }) => html`<th key=${title} scope="col">${title}</th>`)}</tr></thead>
      <tbody>${classes.map((text, label) => likelihood[label] >= threshold && html`<tr key=${label}><th scope="row">${text}</th>
        ${columns.map(({ title, colour, values }) => html`<td key=${title}>${percent(values?.[label])}
          <div style=${{ width: `${100 * (values?.[label] ?? 0)}%`, background: `var(${colour})` }}></div></td>`)}</tr>`)}</tbody>
    </table></div>`;
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
