// The list of datasets: a few pictures of each, its size, and the problem if it cannot be used.

import { html } from "../vendor/htm-preact-standalone.module.js";
import { addressOf } from "../router.js";
import { bytes, number, t, time } from "../texts.js";
import { LabelledPicture } from "./picture.js";

const IN_STRIP = 8;

/** List datasets as GET /v1/datasets describes them. */
export function DatasetList({ datasets }) {
  return html`<ul class="dataset-list">${datasets.map((dataset) => html`
    <li key=${dataset.name}>
      <p class="dataset-head">
        ${dataset.shape.length ? html`<a href=${addressOf("data", { name: dataset.name })}>${dataset.name}</a>` : html`<strong>${dataset.name}</strong>`}
        <${Readiness} dataset=${dataset} /></p>
      <p class="soft">${describeDataset(dataset).join(" · ")}</p>
      ${dataset.problem ? html`<p class="dataset-problem" lang="en">${dataset.problem}</p>` : html`<${Strip} dataset=${dataset} />`}
    </li>`)}</ul>`;
}

/** Whether a training can use a dataset now, with a mark that does not depend on colour. */
export function Readiness({ dataset }) {
  return html`<span class=${`status status-${dataset.ready ? "succeeded" : "failed"}`}>${t(dataset.ready ? "data.ready" : "data.not-ready")}</span>`;
}

/** Return what a dataset holds and where it comes from, in short texts. */
export function describeDataset({ shape, sizes, classes, source, stored_bytes, uploaded_at }) {
  const [height, width, channels] = shape;
  return [
    shape.length && t(channels === 1 ? "data.shape-grey" : "data.shape-colour", { height, width }),
    sizes.train !== undefined && t("data.sizes", { train: number(sizes.train), test: number(sizes.test ?? 0) }),
    classes.length && t("data.classes", { count: classes.length }),
    source && t(`data.source-${source}`),
    stored_bytes != null && bytes(stored_bytes),
    uploaded_at && time(uploaded_at),
  ].filter(Boolean);
}

/** A few training pictures, evenly from the first to the last: those of a class often follow each other. */
function Strip({ dataset }) {
  const count = Math.min(IN_STRIP, dataset.sizes.train ?? 0);
  const indices = Array.from({ length: count }, (_, place) => Math.floor((place * dataset.sizes.train) / count));
  return html`<div class="picture-strip">${indices.map((index) => html`
    <${LabelledPicture} key=${index} dataset=${dataset} split="train" index=${index} />`)}</div>`;
}
