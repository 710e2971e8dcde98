// Computes a model's forward pass in a thread of its own, so that a drawing hand never waits for it.
//
// Messages in: {network, weights: ArrayBuffer} once, then {id, pixels: Uint8Array}. Messages out: {id, probabilities,
// durationMs} or {id, error}; the first message's id is 0. `background_model.js` is the other side.

import { createModel } from "./forward.js";
import { parseSafetensors } from "./safetensors.js";

let model = null;

self.onmessage = ({ data }) => {
  const id = data.id ?? 0;
  try {
    if (data.network) {
      model = createModel(data.network, parseSafetensors(data.weights));
      self.postMessage({ id });
    } else {
      const started = performance.now();
      const probabilities = model.predict(data.pixels);
      self.postMessage({ id, probabilities, durationMs: performance.now() - started });
    }
  } catch (error) {
    self.postMessage({ id, error: error.message });
  }
};
