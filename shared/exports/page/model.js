// The model of an exported page: its weights and network, read from the text that the page carries.
//
// It needs no document and makes no request, so the check of an export runs it in a bare JavaScript engine.

import { createModel } from "./forward.js";
import { parseSafetensors } from "./safetensors.js";

/**
 * Return the model that a page carries.
 *
 * @param {string} text JSON with `network`, `weights` (a safetensors file in base64) and facts about the model.
 * @returns {object} the members of the JSON, with `predict` instead of `weights`. See createModel.
 * @throws {Error} the weights are damaged or not those of the network.
 */
export function openModel(text) {
  const { weights, ...facts } = JSON.parse(text);
  return { ...facts, ...createModel(facts.network, parseSafetensors(decodeBase64(weights).buffer)) };
}

/** Return the bytes that a text in base64 stands for, as a Uint8Array. */
export function decodeBase64(text) {
  const letters = atob(text);
  const bytes = new Uint8Array(letters.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = letters.charCodeAt(i);
  return bytes;
}
