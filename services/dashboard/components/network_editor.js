// The network of a training: a preset or a description in JSON, drawn layer by layer, with errors where they are.

import { html, useEffect, useState } from "../vendor/htm-preact-standalone.module.js";
import { api } from "../api.js";
import { t } from "../texts.js";
import { NetworkDrawing } from "./network_drawing.js";
import { Loading } from "./states.js";

const PAUSE_MS = 300; // after the last change, before the server is asked
const CUSTOM = "";

/**
 * Choose a preset, or edit its description.
 * @param {{presets: Object[], dataset: string, network: string|Object, onChange: function(string|Object): void}} props
 *   `network` is a preset's name or a description. `onChange` gets a new one only if it is valid JSON.
 */
export function NetworkEditor({ presets, dataset, network, onChange }) {
  const { described, error } = useDescription(network, dataset);
  const isPreset = typeof network === "string";
  const preset = presets.find(({ name }) => name === network);
  return html`
    <div class="field">
      <label for="network">${t("train.network")}</label>
      <select id="network" value=${isPreset ? network : CUSTOM} onChange=${(event) => event.target.value && onChange(event.target.value)}>
        ${presets.map(({ name }) => html`<option key=${name} value=${name}>${name}</option>`)}
        ${!isPreset && html`<option value=${CUSTOM}>${t("train.custom")}</option>`}
      </select>
      <p class="field-hint">${preset?.description ?? t("train.custom-hint")}</p>
    </div>
    ${described ? html`<${NetworkDrawing} network=${described} invalidLayer=${layerOf(error)} />` : !error && html`<${Loading} />`}
    <${Editor} described=${described} error=${error} isPreset=${isPreset} onChange=${onChange} />`;
}

/** The description as JSON. It follows the choice above until the user edits it. */
function Editor({ described, error, isPreset, onChange }) {
  const [text, setText] = useState(null);
  const [syntaxError, setSyntaxError] = useState(null);
  useEffect(() => {
    if (isPreset) {
      setText(null);
      setSyntaxError(null);
    }
  }, [isPreset, described]);
  const edit = (event) => {
    setText(event.target.value);
    try {
      const network = JSON.parse(event.target.value);
      setSyntaxError(null);
      onChange(network);
    } catch (problem) {
      setSyntaxError(t("train.not-json", { reason: problem.message }));
    }
  };
  const message = syntaxError ?? error?.message;
  return html`
    <details class="network-json" open=${Boolean(message) || null}>
      <summary>${t("train.edit-json")}</summary>
      <label class="hidden" for="network-json">${t("train.json")}</label>
      <textarea id="network-json" class="code" rows="12" spellcheck="false" value=${text ?? jsonOf(described)} onInput=${edit}
        aria-invalid=${Boolean(message)} aria-describedby="network-error"></textarea>
      <p id="network-error" class="field-error" role="status">${message}</p>
    </details>`;
}

/** The hook that asks the server for a network's shapes, a moment after the last change. */
function useDescription(network, dataset) {
  const [state, setState] = useState({ described: null, error: null });
  const key = JSON.stringify([network, dataset]);
  useEffect(() => {
    const asking = new AbortController();
    const ask = async () => {
      try {
        const options = { method: "POST", signal: asking.signal };
        const described = await api.post("/v1/networks/describe", { network, dataset }, options);
        if (!asking.signal.aborted) setState({ described, error: null });
      } catch (error) {
        if (!asking.signal.aborted) setState((before) => ({ ...before, error }));
      }
    };
    const timer = setTimeout(ask, typeof network === "string" ? 0 : PAUSE_MS);
    return () => {
      clearTimeout(timer);
      asking.abort();
    };
  }, [key]);
  return state;
}

/** Return the index of the layer that the server's message names (`layers.2 ...`), or null. */
function layerOf(error) {
  const found = /\blayers\.(\d+)/.exec(error?.message ?? "");
  return found ? Number(found[1]) : null;
}

/** Return the description as it can be edited: one line per layer, without the fields that are null. */
function jsonOf(described) {
  if (!described) return "";
  const layers = described.layers.map(({ layer }) => {
    const given = Object.entries(layer).filter(([, value]) => value !== null);
    return `    ${JSON.stringify(Object.fromEntries(given))}`;
  });
  return `{\n  "input_shape": ${JSON.stringify(described.input_shape)},\n  "layers": [\n${layers.join(",\n")}\n  ]\n}`;
}
