// How the page names and colours backends. The colours are those of the reports, and can be told apart by people who
// are colour-blind (Okabe and Ito 2008). A name always stands beside a colour.

import { html } from "../vendor/htm-preact-standalone.module.js";

const TITLES = { tensorflow: "TensorFlow", pytorch: "PyTorch" };
const COLOURS = 7;

/** Return a backend's name as its project writes it. */
export function titleOf(backend) {
  return TITLES[backend] ?? backend;
}

/** Return the CSS variable of a backend's colour, by its place among the backends. */
export function colourOfBackend(index) {
  return `--backend-${index % COLOURS}`;
}

/** A backend's name with its colour. */
export function BackendName({ backend, index }) {
  return html`<span class="backend-name"><span class="swatch" style=${{ background: `var(${colourOfBackend(index)})` }}></span>${titleOf(backend)}</span>`;
}
