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
  const rows = [{ output_shape: network.input_shape }, ...network.layers];
  const longest = rows.map(({ output_shape }) => Math.max(...output_shape.slice(0, 2)));
  return html`
    <table class="network">
      <caption class="hidden">${t("train.layers")}</caption>
      <thead><tr>
        <th scope="col" colspan="2">${t("train.layer")}</th>
        <th scope="col" class="figure">${t("train.output")}</th><th scope="col" class="figure">${t("train.parameters")}</th>
      </tr></thead>
      <tbody>
        ${rows.map(({ layer, output_shape, parameters }, index) => html`
          <tr key=${index} class=${index - 1 === invalidLayer ? "invalid" : null}>
            <td class="drawing"><${Output} shape=${output_shape} longest=${Math.max(...longest)} /></td>
            <th scope="row">${layer ? titleOf(layer) : t("train.input")}</th>
            <td class="figure">${output_shape.join(" × ")}</td>
            <td class="figure">${parameters ? number(parameters) : ""}</td>
          </tr>`)}
      </tbody>
      <tfoot><tr><th scope="row" colspan="3">${t("train.total")}</th><td class="figure">${number(network.parameters)}</td></tr></tfoot>
    </table>`;
}

/** A picture is a stack of sheets, one per channel up to MOST_SHEETS; a vector is a bar. Lengths are logarithmic. */
function Output({ shape, longest }) {
  const [height, width] = shape.length === 1 ? [6, lengthOf(shape[0], longest)] : shape.slice(0, 2).map((side) => lengthOf(side, longest));
  const sheets = Math.min(shape[2] ?? 1, MOST_SHEETS);
  return html`<svg width=${width + STEP * sheets} height=${height + STEP * sheets} aria-hidden="true">
    ${Array.from({ length: sheets }, (_, sheet) => html`
      <rect x=${1 + STEP * (sheets - 1 - sheet)} y=${1 + STEP * sheet} width=${width} height=${height} />`)}
  </svg>`;
}

function lengthOf(count, longest) {
  return Math.max(SMALLEST, (LARGEST * Math.log(count + 1)) / Math.log(longest + 1));
}

function titleOf(layer) {
  const size = layer.units ?? layer.filters;
  const window = (layer.kernel_size ?? layer.pool_size)?.join("×");
  return [t(`layer.${layer.kind}`), size && number(size), window, layer.rate, layer.activation].filter(Boolean).join(" ");
}
