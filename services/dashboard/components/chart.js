// Line charts by uPlot, with a table of the same figures for people who cannot see the lines.

import { html, useEffect, useLayoutEffect, useRef, useState } from "../vendor/htm-preact-standalone.module.js";
import { language, t } from "../texts.js";

/** uPlot draws on a canvas, which knows no CSS variables: return the value of one. */
function colourOf(variable) {
  return getComputedStyle(document.documentElement).getPropertyValue(variable).trim();
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
 * Draw lines over one horizontal axis.
 * @param {Object} props
 * @param {string} props.title what the chart shows.
 * @param {string} props.xLabel the horizontal axis.
 * @param {number[]} props.xs the horizontal values, in ascending order.
 * @param {{label: string, colour: string, dash?: number[], values: (number|null)[], format: function(number): string}[]} props.lines
 *   `colour` is a CSS variable such as `--backend-0`; `values` are at `xs`.
 * @param {number} [props.height] in CSS pixels.
 * @param {boolean} [props.isLogarithmic] whether the vertical axis is.
 */
export function Chart({ title, xLabel, xs, lines, height = 240, isLogarithmic = false }) {
  const box = useRef(null);
  const plot = useRef(null);
  const scheme = useColourScheme();
  const shape = [scheme, language(), height, isLogarithmic, title, ...lines.map((line) => line.label + line.colour)].join("|");
  const data = [xs, ...lines.map((line) => line.values)];

  useLayoutEffect(() => {
    const created = new uPlot(optionsOf(box.current.clientWidth, height, xLabel, lines, isLogarithmic), data, box.current);
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
    <line x1="0" y1="4" x2="28" y2="4" stroke=${`var(${line.colour})`} stroke-width="2" stroke-dasharray=${line.dash?.join(" ")} />
  </svg>`;
}

function describe(title, xs, lines) {
  const ends = lines.map((line) => {
    const last = line.values.findLast((value) => value != null);
    return last === undefined ? line.label : `${line.label} ${line.format(last)}`;
  });
  return `${title}. ${ends.join(", ")}`;
}

function optionsOf(width, height, xLabel, lines, isLogarithmic) {
  const axis = { stroke: colourOf("--text-soft"), grid: { stroke: colourOf("--line"), width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
  return {
    width: Math.max(width, 200),
    height,
    legend: { show: false },
    cursor: { drag: { x: false, y: false }, points: { size: 7 } },
    scales: { x: { time: false }, y: isLogarithmic ? { distr: 3 } : {} },
    axes: [
      { ...axis, label: xLabel, labelSize: 18, labelFont: axis.font, size: 28, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500] },
      { ...axis, size: 56, values: (_, splits) => splits.map((value) => (value == null ? "" : lines[0].format(value))) },
    ],
    series: [{}, ...lines.map((line) => ({
      label: line.label,
      stroke: colourOf(line.colour),
      width: 2,
      dash: line.dash,
      points: { show: line.values.length < 3, size: 6 },
      spanGaps: true,
    }))],
  };
}
