// A model whose forward pass runs in a Worker: `worker.js` is the other side.

/**
 * Start a Worker with a model.
 *
 * @param {object} network as in a model's manifest.
 * @param {ArrayBuffer} weights a safetensors file.
 * @returns {Promise<{predict: (pixels: Uint8Array) => Promise<{probabilities: Float64Array, durationMs: number}>,
 *     close: () => void}>} `durationMs` is the time of the computation. `close` ends the Worker.
 * @throws {Error} the weights are damaged, or not those of the network.
 */
export async function startModel(network, weights) {
  const worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
  const waiting = new Map();
  let lastId = 0;

  function ask(message) {
    return new Promise((resolve, reject) => {
      waiting.set(message.id, { resolve, reject });
      worker.postMessage(message);
    });
  }
  function fail(message) {
    for (const { reject } of waiting.values()) reject(new Error(message));
    waiting.clear();
  }
  worker.onmessage = ({ data }) => {
    const { resolve, reject } = waiting.get(data.id);
    waiting.delete(data.id);
    if (data.error) reject(new Error(data.error));
    else resolve(data);
  };
  worker.onerror = () => fail("the forward pass could not be started in this browser");

  function close() {
    worker.terminate();
    fail("the model was closed");
  }
  try {
    await ask({ id: 0, network, weights });
  } catch (error) {
    close();
    throw error;
  }
  return { predict: (pixels) => ask({ id: ++lastId, pixels }), close };
}
