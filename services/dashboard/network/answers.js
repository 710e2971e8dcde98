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
 * @returns {Promise<{results: object, errors: object, warnings: string[], failure?: Error, pixels?: Uint8Array|null,
 *     own?: Float64Array, ownError?: Error}>} `results` and `errors` are by backend; `failure` is why the server gave no
 *     answer; `pixels` is what the models saw, null if the picture is blank, undefined if the browser cannot read it; `own`
 *     is what the browser answers.
 */
export async function askEveryone(drawing, path, manifest, model) {
  const shape = manifest.network.input_shape;
  const answer = { results: {}, errors: {}, warnings: [] };
  let prepared = null;
  let image = null;
  try {
    image = drawing.toImage(); // now, because the user may change the drawing while the server works
    const form = new FormData();
    form.append("image", await drawing.toBlob(), drawing.name);
    const { images: [found], errors } = await (await api.form(path, form)).json();
    ({ prepared } = Object.assign(answer, found, { errors }));
  } catch (error) {
    answer.failure = error;
  }
  try {
    if (prepared) answer.pixels = await readPng(prepared, shape);
    else if (image) answer.pixels = preparePicture(image, shape, manifest.prepare);
    answer.own = answer.pixels && await model?.predict(answer.pixels);
  } catch (error) {
    answer.ownError = error;
  }
  return answer;
}
