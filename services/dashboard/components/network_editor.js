// The network of a training: a preset or a description in JSON, drawn layer by layer, with errors where they are.

import { html, useEffect, useState } from "../vendor/htm-preact-standalone.module.js";
import { api } from "../api.js";
import { t } from "../texts.js";
import { Choice, JsonField, parseJson } from "./fields.js";
import { NetworkDrawing } from "./network_drawing.js";
import { Loading } from "./states.js";

const PAUSE_MS = 300; // after the last change, before the server is asked

/**
 * Choose a preset, or edit its description.
 * @param {{presets: Object[], dataset: string, network: string|Object, onChange: function(string|Object): void}} props
 *   `network` is a preset's name or a description. `onChange` gets a new one only if it is valid JSON.
 */
export function NetworkEditor({ presets, dataset, network, onChange }) {
  const { described, error } = useDescription(network, dataset);
  const [text, setText] = useState(null); // what the user has written; null until then
  const [syntaxError, setSyntaxError] = useState(null);
  const isPreset = typeof network === "string";
  const names = presets.map(({ name }) => name);
  const choose = (name) => {
    setText(null);
    setSyntaxError(null);
    onChange(name);
  };
  const edit = (written) => {
    const { value, problem } = parseJson(written);
    setText(written);
    setSyntaxError(problem);
    if (!problem) onChange(value);
  };
  const message = syntaxError ?? error?.message;
  return html`
    <${Choice} id="network" label=${t("train.network")} value=${isPreset ? network : t("train.custom")}
      options=${isPreset ? names : [...names, t("train.custom")]} onChange=${choose} />
    <p class="field-hint">${presets.find(({ name }) => name === network)?.description}</p>
    ${described ? html`<${NetworkDrawing} network=${described} invalidLayer=${layerOf(error)} />` : !error && html`<${Loading} />`}
    <details open=${message ? true : null}>
      <summary>${t("train.edit-json")}</summary>
      <${JsonField} id="network" label=${t("train.json")} value=${text ?? jsonOf(described)} message=${message} onChange=${edit} />
    </details>`;
}

/** The hook that asks the server for a network's shapes, a moment after the last change. */
function useDescription(network, dataset) {
  const [state, setState] = useState({ described: null, error: null });
  useEffect(() => {
    let isCurrent = true;
    const settle = (change) => isCurrent && setState((before) => ({ ...before, error: null, ...change }));
    const ask = () => api.post("/v1/networks/describe", { network, dataset })
      .then((described) => settle({ described }), (error) => settle({ error }));
    const timer = setTimeout(ask, typeof network === "string" ? 0 : PAUSE_MS);
    return () => {
      clearTimeout(timer);
      isCurrent = false;
    };
  }, [JSON.stringify(network), dataset]);
  return state;
}

/** Return the index of the layer that the server's message names (`layers.2 ...`), or null. */
function layerOf(error) {
  const found = /\blayers\.(\d+)/.exec(error?.message ?? "");
  return found ? Number(found[1]) : null;
}

/** Return the description as it can be edited: one line per layer, without the fields that are null. */
function jsonOf(described) {
  const layers = described?.layers.map(({ layer }) => JSON.stringify(layer, (_, value) => value ?? undefined)).join(",\n    ");
  return described && `{\n  "input_shape": ${JSON.stringify(described.input_shape)},\n  "layers": [\n    ${layers}\n  ]\n}`;
}
