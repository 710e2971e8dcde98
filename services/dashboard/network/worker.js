// A model whose forward pass runs in a thread of its own, so that drawing never waits for it.
//
// `startModel` runs this same module in a Worker. Messages to the Worker: {network, weights} once, then {pixels} for
// each picture. The Worker answers a picture with {probabilities} or {error}.

import { createModel } from "./forward.js";
import { parseSafetensors } from "./safetensors.js";

/**
 * Start a Worker with a model.
 *
 * @param {object} network as in a model's manifest.
 * @param {ArrayBuffer} weights a safetensors file.
 * @returns {{predict: (pixels: Uint8Array) => Promise<Float64Array>, close: () => void}} `predict` takes one picture at
 *     a time and returns the probability of each class. It throws an Error if the weights are damaged or not those of
 *     the network. `close` ends the Worker.
 */
export function startModel(network, weights) {
  const worker = new Worker(import.meta.url, { type: "module" });
  worker.postMessage({ network, weights });
  const predict = (pixels) => new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => (data.error ? reject(new Error(data.error)) : resolve(data.probabilities));
    worker.onerror = () => reject(new Error("this browser cannot run the model"));
    worker.postMessage({ pixels });
  });
  return { predict, close: () => worker.terminate() };
}

if (!globalThis.document) {
  const given = {};
  let model = null;
  globalThis.onmessage = ({ data }) => {
    Object.assign(given, data);
    if (!data.pixels) return;
    try {
      model ??= createModel(given.network, parseSafetensors(given.weights));
      postMessage({ probabilities: model.predict(data.pixels) });
    } catch (error) {
      postMessage({ error: error.message });
    }
  };
}
