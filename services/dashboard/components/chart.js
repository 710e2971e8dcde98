// Line charts by uPlot, with a table of the same figures for people who cannot see the lines.

import { html, useEffect, useLayoutEffect, useRef, useState } from "../vendor/htm-preact-standalone.module.js";
import { language, t } from "../texts.js";

/** uPlot draws on a canvas, which knows no CSS variables: return the colour that one means in the current scheme. */
function colourOf(variable) {
  const probe = document.createElement("span");
  probe.style.color = `var(${variable})`;
  document.body.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

const DARK = matchMedia("(prefers-color-scheme: dark)");

/** The hook that returns a number that changes with the colour scheme. */
function useColourScheme() {
  const [round, setRound] = useState(0);
  useEffect(() => {
    const update = () => setRound((before) => before + 1);
    DARK.addEventListener("change", update);
    return () => DARK.removeEventListener("change", update);
  }, []);
  return round;
}

/**
 * A line of a chart.
 * @typedef {Object} Line
 * @property {string} label
 * @property {string} colour a CSS variable such as `--backend-0`.
 * @property {(number|null)[]} values at the chart's `xs`.
 * @property {function(number): string} format writes a value.
 * @property {number[]} [dash] lengths of dashes and gaps, in CSS pixels.
 * @property {number} [width] in CSS pixels.
 * @property {boolean} [isRight] whether the line belongs to the axis on the right, which is for shares: it ends at 1.
 */

/**
 * Draw lines over one horizontal axis.
 * @param {Object} props
 * @param {string} props.title what the chart shows.
 * @param {string} props.xLabel the horizontal axis.
 * @param {number[]} props.xs the horizontal values, in ascending order.
 * @param {Line[]} props.lines what to draw.
 * @param {number} [props.height] in CSS pixels.
 */
export function Chart({ title, xLabel, xs, lines, height = 240 }) {
  const box = useRef(null);
  const plot = useRef(null);
  const scheme = useColourScheme();
  const shape = [scheme, language(), height, title, ...lines.map((line) => line.label + line.colour)].join("|");
  const data = [xs, ...lines.map((line) => line.values)];

  useLayoutEffect(() => {
    const created = new uPlot(optionsOf(box.current.clientWidth, height, xLabel, lines), data, box.current);
    plot.current = created;
    const observer = new ResizeObserver(([entry]) => {
      const width = Math.floor(entry.contentRect.width);
      if (width > 0 && width !== created.width) created.setSize({ width, height });
    });
    observer.observe(box.current);
    return () => {
      observer.disconnect();
      created.destroy();
    };
  }, [shape]);
  useLayoutEffect(() => plot.current.setData(data), [data.flat().join()]);

  return html`
    <figure class="chart">
      <figcaption>${title}</figcaption>
      <div ref=${box} class="chart-box" role="img" aria-label=${describe(title, xs, lines)}></div>
      <ul class="legend" aria-hidden="true">
        ${lines.map((line) => html`<li key=${line.label}><${LineSample} line=${line} />${line.label}</li>`)}
      </ul>
      <details class="figures">
        <summary>${t("chart.table")}</summary>
        <div class="scroll" tabindex="0" role="region" aria-label=${title}>
          <table>
            <caption class="hidden">${title}</caption>
            <thead><tr><th scope="col">${xLabel}</th>${lines.map((line) => html`<th scope="col">${line.label}</th>`)}</tr></thead>
            <tbody>
              ${xs.map((x, row) => html`<tr key=${x}><th scope="row">${x}</th>
                ${lines.map((line) => html`<td>${line.values[row] == null ? "" : line.format(line.values[row])}</td>`)}</tr>`)}
            </tbody>
          </table>
        </div>
      </details>
    </figure>`;
}

/** A short piece of a line, as it looks in the chart. */
function LineSample({ line }) {
  return html`<svg class="line-sample" width="28" height="8" aria-hidden="true">
    <line x1="0" y1="4" x2="28" y2="4" stroke=${`var(${line.colour})`} stroke-width=${line.width ?? 2} stroke-dasharray=${line.dash?.join(" ")} />
  </svg>`;
}

function describe(title, xs, lines) {
  const ends = lines.map((line) => {
    const last = line.values.findLast((value) => value != null);
    return last === undefined ? line.label : `${line.label} ${line.format(last)}`;
  });
  return `${title}. ${ends.join(", ")}`;
}

function optionsOf(width, height, xLabel, lines) {
  const right = lines.find((line) => line.isRight);
  const left = lines.find((line) => !line.isRight) ?? right;
  const write = (line) => (_, splits) => splits.map((value) => (value == null ? "" : line.format(value)));
  const axis = {
    stroke: colourOf("--text-soft"),
    grid: { stroke: colourOf("--line"), width: 1 },
    ticks: { show: false },
    font: "12px system-ui, sans-serif",
  };
  return {
    width: Math.max(width, 200),
    height,
    legend: { show: false },
    cursor: { drag: { x: false, y: false }, points: { size: 7 } },
    scales: { x: { time: false }, right: { range: [null, 1] } },
    axes: [
      { ...axis, label: xLabel, labelSize: 18, labelFont: axis.font, size: 28, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000, 20000] },
      { ...axis, size: 56, values: write(left) },
      ...(right && right !== left ? [{ ...axis, scale: "right", side: 1, size: 56, grid: { show: false }, values: write(right) }] : []),
    ],
    series: [{}, ...lines.map((line) => ({
      label: line.label,
      stroke: colourOf(line.colour),
      scale: line.isRight && left !== right ? "right" : "y",
      width: line.width ?? 2,
      dash: line.dash,
      points: { show: line.values.length < 3, size: 6 },
      spanGaps: true,
    }))],
  };
}
