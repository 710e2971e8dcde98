// What a load test measures and what it has shown, in words.

import { duration, number, percent, t } from "../texts.js";
import { titleOf } from "./backends.js";

const AGAIN = " again"; // the second side of an A/A test: the same backend, measured a second time

/** Return the title of a side of a load test: a backend, or the same backend again. */
export function titleOfSide(side) {
  return side.endsWith(AGAIN) ? `${titleOf(side.slice(0, -AGAIN.length))} 2` : titleOf(side);
}

/** Write a latency in milliseconds. */
export function writeMs(value) {
  return `${number(value, 2)} ms`;
}

/** Write a number of requests per second. */
export function writeRate(value) {
  return `${number(value, value % 1 ? 1 : 0)}/s`;
}

/** Write what a load test was asked to do. */
export function describeRequest({ scenario, target_qps, duration_s }) {
  const what = Array.isArray(target_qps) ? target_qps.map(writeRate).join(", ") : t(`load.${target_qps ?? scenario}`);
  return `${what}, ${duration(duration_s)}`;
}

/** Write the claim about a pair of sides, and how sure it is. */
export function describeClaim({ backends, metric, target_qps, difference, confidence, blocks }) {
  const [first, second] = backends.map(titleOfSide);
  if (!difference) return t("load.claim-none", { first, second });
  const { value, low, high } = difference;
  const write = metric === "p99_ms" ? writeMs : writeRate;
  const figures = {
    first, second, blocks, value: write(value), low: write(low), high: write(high), confidence: percent(confidence, 1),
    metric: target_qps ? `${t(`load.${metric}`)} (${writeRate(target_qps)})` : t(`load.${metric}`),
  };
  const claim = t("load.claim", figures);
  if (low === null) return `${claim} ${t("load.too-few")}`;
  return [claim, t("load.interval", figures), low <= 0 && high >= 0 && t("load.equal")].filter(Boolean).join(" ");
}
