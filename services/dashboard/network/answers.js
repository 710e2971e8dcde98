// Asks everyone what a drawing shows: the server's backends, and the browser's own forward pass.

import { api } from "../api.js";
import { preparePicture, readPng } from "./drawing.js";

/**
 * Return what the backends and the browser answer. This never throws: errors are part of the result.
 *
 * @param {{name: string, toBlob: function(): Promise<Blob>, toImage: function(): ImageData|null}} drawing
 * @param {string} path the address to post the picture to. Its query asks for the prepared picture.
 * @param {{network: object, prepare?: string}} manifest of the model.
 * @param {{predict: function}|null} model the browser's own.
 * @returns {Promise<{results: object, errors: object, warnings: string[], times: object, totalMs: number|null,
 *     failure: Error|null, pixels: Uint8Array|null, isOwnPreparation: boolean, browser: object|null}>} `results`,
 *     `errors` and `times` (in milliseconds) are by backend; `failure` is why the server gave no answer; `pixels` is
 *     what the models saw, prepared by the browser itself if `isOwnPreparation`.
 */
export async function askEveryone(drawing, path, manifest, model) {
  const shape = manifest.network.input_shape;
  const answer = { results: {}, errors: {}, warnings: [], times: {}, totalMs: null, failure: null, browser: null };
  let prepared = null;
  try {
    const form = new FormData();
    form.append("image", await drawing.toBlob(), drawing.name);
    const started = performance.now();
    const response = await api.form(path, form);
    const { images: [image], errors } = await response.json();
    answer.totalMs = performance.now() - started;
    Object.assign(answer, { results: image.results, warnings: image.warnings, errors });
    answer.times = parseTimes(response.headers.get("Server-Timing") ?? "");
    prepared = image.prepared;
  } catch (error) {
    answer.failure = error;
  }
  answer.isOwnPreparation = prepared === null;
  try {
    answer.pixels = prepared === null ? prepareHere(drawing, shape, manifest) : await readPng(prepared, shape);
    if (model && answer.pixels) answer.browser = await model.predict(answer.pixels);
  } catch (error) {
    answer.errors.browser = error.message;
  }
  return answer;
}

function prepareHere(drawing, shape, manifest) {
  const image = drawing.toImage();
  return image && preparePicture(image, shape, manifest.prepare ?? "resize");
}

/** Return the parts of the header Server-Timing that belong to a backend: {tensorflow: {compute: 1.5, ...}, ...}. */
function parseTimes(header) {
  const times = {};
  for (const [, part, ms, backend] of header.matchAll(/(\w+);dur=([\d.]+);desc="([^"]*)"/g)) {
    times[backend] = { ...times[backend], [part]: Number(ms) };
  }
  return times;
}
