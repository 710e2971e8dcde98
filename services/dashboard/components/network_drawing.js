// Draws a network: a row per layer, with its output's shape as a small drawing, and its number of parameters.

import { html } from "../vendor/htm-preact-standalone.module.js";
import { number, t } from "../texts.js";

const LARGEST = 28; // CSS pixels of the largest picture or of the longest vector
const SMALLEST = 4;
const MOST_SHEETS = 4; // drawn for the channels of a picture
const STEP = 3; // CSS pixels between sheets

/**
 * Draw a network.
 * @param {{network: Object, invalidLayer?: number|null}} props `network` as POST /v1/networks/describe returns it.
 */
export function NetworkDrawing({ network, invalidLayer = null }) {
  const scale = scaleOf([network.input_shape, ...network.layers.map((layer) => layer.output_shape)]);
  return html`
    <table class="network">
      <caption class="hidden">${t("train.layers")}</caption>
      <thead><tr>
        <th scope="col" colspan="2">${t("train.layer")}</th>
        <th scope="col" class="figure">${t("train.output")}</th><th scope="col" class="figure">${t("train.parameters")}</th>
      </tr></thead>
      <tbody>
        <${Layer} title=${t("train.input")} shape=${network.input_shape} scale=${scale} />
        ${network.layers.map(({ layer, output_shape, parameters }, index) => html`
          <${Layer} key=${index} title=${titleOf(layer)} shape=${output_shape} parameters=${parameters} scale=${scale}
            isInvalid=${index === invalidLayer} />`)}
      </tbody>
      <tfoot><tr><th scope="row" colspan="3">${t("train.total")}</th><td class="figure">${number(network.parameters)}</td></tr></tfoot>
    </table>`;
}

function Layer({ title, shape, parameters = 0, scale, isInvalid = false }) {
  return html`
    <tr class=${isInvalid ? "invalid" : null}>
      <td class="drawing"><${Output} shape=${shape} scale=${scale} /></td>
      <th scope="row">${title}</th>
      <td class="figure">${shape.join(" × ")}</td>
      <td class="figure">${parameters ? number(parameters) : ""}</td>
    </tr>`;
}

/** A picture is a stack of sheets, one per channel up to MOST_SHEETS; a vector is a bar. */
function Output({ shape, scale }) {
  if (shape.length === 1) {
    return html`<svg width=${LARGEST + 2} height="8" aria-hidden="true"><rect x="1" y="1" width=${scale.vector(shape[0])} height="6" /></svg>`;
  }
  const [rows, columns, channels] = shape;
  const sheets = Math.min(channels, MOST_SHEETS);
  const width = scale.side(columns);
  const height = scale.side(rows);
  const shift = (sheet) => 1 + STEP * (sheets - 1 - sheet);
  return html`<svg width=${width + STEP * sheets} height=${height + STEP * sheets} aria-hidden="true">
    ${Array.from({ length: sheets }, (_, sheet) => html`
      <rect key=${sheet} x=${shift(sheet)} y=${shift(sheets - 1 - sheet)} width=${width} height=${height} />`)}
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
