// Draws a network: one box per layer's output, with its shape and its number of parameters.

import { html } from "../vendor/htm-preact-standalone.module.js";
import { number, t } from "../texts.js";

const LARGEST = 56; // CSS pixels of the largest picture or of the longest vector
const SMALLEST = 8;
const MOST_SHEETS = 5; // drawn for the channels of a picture

/**
 * Draw a network.
 * @param {{network: Object, invalidLayer?: number|null}} props `network` as POST /v1/networks/describe returns it.
 */
export function NetworkDrawing({ network, invalidLayer = null }) {
  const shapes = [network.input_shape, ...network.layers.map((layer) => layer.output_shape)];
  const scale = scaleOf(shapes);
  return html`
    <div class="scroll" tabindex="0" role="region" aria-label=${t("train.layers")}>
      <ol class="network">
        <${Layer} title=${t("train.input")} shape=${network.input_shape} scale=${scale} />
        ${network.layers.map(({ layer, output_shape, parameters }, index) => html`
          <${Layer} key=${index} title=${titleOf(layer)} shape=${output_shape} parameters=${parameters} scale=${scale}
            isInvalid=${index === invalidLayer} />`)}
      </ol>
    </div>
    <p class="soft">${t("train.parameters", { count: number(network.parameters) })}</p>`;
}

function Layer({ title, shape, parameters = null, scale, isInvalid = false }) {
  return html`
    <li class=${isInvalid ? "invalid" : null}>
      <${Output} shape=${shape} scale=${scale} />
      <span class="layer-title">${title}</span>
      <span class="soft">${shape.join(" × ")}</span>
      <span class="soft">${parameters ? t("train.layer-parameters", { count: number(parameters) }) : ""}</span>
    </li>`;
}

/** A picture is a stack of sheets, one per channel up to MOST_SHEETS; a vector is a column. */
function Output({ shape, scale }) {
  const size = LARGEST + 4 * MOST_SHEETS;
  if (shape.length === 1) {
    const height = scale.vector(shape[0]);
    return html`<svg width="16" height=${size} aria-hidden="true">
      <rect x="3" y=${size - height - 1} width="10" height=${height} /></svg>`;
  }
  const [rows, columns, channels] = shape;
  const sheets = Math.min(channels, MOST_SHEETS);
  const width = scale.side(columns);
  const height = scale.side(rows);
  return html`<svg width=${width + 4 * sheets} height=${size} aria-hidden="true">
    ${Array.from({ length: sheets }, (_, sheet) => html`
      <rect key=${sheet} x=${1 + 4 * (sheets - 1 - sheet)} y=${size - height - 1 - 4 * (sheets - 1 - sheet)} width=${width} height=${height} />`)}
  </svg>`;
}

/** Sides of pictures are drawn in proportion; lengths of vectors by their logarithm, because they differ so much. */
function scaleOf(shapes) {
  const longestSide = Math.max(...shapes.filter((shape) => shape.length === 3).flatMap(([rows, columns]) => [rows, columns]));
  const longestVector = Math.max(2, ...shapes.filter((shape) => shape.length === 1).map(([length]) => length));
  return {
    side: (length) => Math.max(SMALLEST, (LARGEST * length) / longestSide),
    vector: (length) => Math.max(SMALLEST, (LARGEST * Math.log(length + 1)) / Math.log(longestVector + 1)),
  };
}

function titleOf(layer) {
  const parts = [t(`layer.${layer.kind}`)];
  if (layer.units) parts.push(number(layer.units));
  if (layer.filters) parts.push(number(layer.filters));
  const window = layer.kernel_size ?? layer.pool_size;
  if (window) parts.push(window.join("×"));
  if (layer.rate) parts.push(String(layer.rate));
  if (layer.activation) parts.push(layer.activation);
  return parts.join(" ");
}
