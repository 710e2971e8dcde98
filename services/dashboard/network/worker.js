// A model whose forward pass runs in a thread of its own, so that drawing never waits for it.
//
// A Worker loads its modules again. If that fails, for instance because the server has just gone, the model runs in the
// page's own thread, which has loaded them already.
//
// `startModel` runs this same module in a Worker. Messages to the Worker: {network, weights} once, then {pixels} for
// each picture. The Worker answers each with {probabilities} or {error}.

import { createModel } from "./forward.js";
import { parseSafetensors } from "./safetensors.js";

/**
 * Start a model, in a Worker if one can be started.
 *
 * @param {object} network as in a model's manifest.
 * @param {ArrayBuffer} weights a safetensors file.
 * @returns {Promise<{predict: (pixels: Uint8Array) => Promise<Float64Array>, close: () => void}>} `predict` takes one
 *     picture at a time and returns the probability of each class. `close` ends the Worker.
 * @throws {Error} the weights are damaged or not those of the network.
 */
export async function startModel(network, weights) {
  const worker = new Worker(import.meta.url, { type: "module" });
  const close = () => worker.terminate();
  let isBroken = false;
  const ask = (message) => new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => (data.error ? reject(new Error(data.error)) : resolve(data.probabilities));
    worker.onerror = () => {
      isBroken = true;
      reject(new Error("this browser cannot run the model"));
    };
    worker.postMessage(message);
  });
  try {
    await ask({ network, weights });
  } catch (error) {
    close();
    if (!isBroken) throw error;
    const model = createModel(network, parseSafetensors(weights));
    return { predict: async (pixels) => model.predict(pixels), close };
  }
  return { predict: (pixels) => ask({ pixels }), close };
}

if (!globalThis.document) {
  let model = null;
  globalThis.onmessage = ({ data: { network, weights, pixels } }) => {
    try {
      model ??= createModel(network, parseSafetensors(weights));
      postMessage({ probabilities: pixels && model.predict(pixels) });
    } catch (error) {
      postMessage({ error: error.message });
    }
  };
}
