// What a load test measures and what it has shown, in sentences.

import { duration, number, percent, t } from "../texts.js";
import { titleOf } from "./backends.js";

const AGAIN = " again"; // the second side of an A/A test: the same backend, measured a second time
const METRICS = { p99_ms: "p99", achieved_qps: "rate", largest_qps: "largest" };

/** Return the title of a side of a load test: a backend, or the same backend again. */
export function titleOfSide(side) {
  return side.endsWith(AGAIN) ? t("load.again", { backend: titleOf(side.slice(0, -AGAIN.length)) }) : titleOf(side);
}

/** Return the place of a side's colour: that of its backend, or the next free one for the second side of an A/A test. */
export function placeOfSide(side, backends) {
  return backends.includes(side) ? backends.indexOf(side) : backends.length;
}

/** Write what a load test was asked to do. */
export function describeRequest({ scenario, target_qps, duration_s }) {
  const seconds = duration(duration_s);
  if (target_qps === "search") return t("load.asked-search", { seconds });
  if (!target_qps) return t("load.asked", { scenario: t(`load.${scenario}`), seconds });
  return t("load.asked-rates", { seconds, rates: target_qps.map((rate) => number(rate, rate % 1 ? 1 : 0)).join(", ") });
}

/** Write the claim about a pair of sides as one sentence. */
export function describeClaim(pair) {
  const [first, second] = pair.backends.map(titleOfSide);
  const metric = METRICS[pair.metric];
  const rate = pair.target_qps ? t("load.at-rate", { rate: number(pair.target_qps, pair.target_qps % 1 ? 1 : 0) }) : "";
  if (!pair.difference) return t("load.claim-none", { first, second });
  const { value, low, high } = pair.difference;
  const names = { first, second, rate, metric: t(`load.metric-${metric}`) };
  if (low === null || (low <= 0 && high >= 0)) return t("load.claim-equal", names);
  return t(value > 0 ? "load.claim-higher" : "load.claim-lower", { ...names, size: writeFigure(Math.abs(value), pair.metric) });
}

/** Write how sure the claim about a pair of sides is. */
export function describeCertainty(pair) {
  if (!pair.difference) return "";
  const [first, second] = pair.backends.map(titleOfSide);
  const { value, low, high } = pair.difference;
  const values = { first, second, value: writeFigure(value, pair.metric), blocks: pair.blocks };
  if (low === null) return t("load.certainty-none", values);
  const confidence = percent(pair.confidence, pair.confidence * 100 % 1 > 0.001 ? 1 : 0);
  return t("load.certainty", { ...values, confidence, low: number(low, 2), high: writeFigure(high, pair.metric) });
}

function writeFigure(value, metric) {
  return metric === "p99_ms" ? `${number(value, 2)} ms` : `${number(value, 1)}/s`;
}
