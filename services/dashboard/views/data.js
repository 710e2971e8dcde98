// The view Data: the datasets, the pictures of one, and uploads.

import { html, useEffect, useRef, useState } from "../vendor/htm-preact-standalone.module.js";
import { DatasetUpload } from "../components/dataset_upload.js";
import { DeleteButton } from "../components/delete_button.js";
import { LabelledPicture } from "../components/picture.js";
import { Empty, Failure, Loading } from "../components/states.js";
import { useResource } from "../resources.js";
import { addressOf, navigate } from "../router.js";
import { bytes, number, t, time } from "../texts.js";

const EVERY_MS = 10_000; // the server checks the pictures of large folders a few seconds at a time
const IN_STRIP = 8;
const PER_PAGE = 24;

/** The view of /data?name=. With a name it shows that dataset, else the list and the upload. */
export function View({ query }) {
  const { data, error, reload } = useResource("/v1/datasets", { every: EVERY_MS });
  const title = html`<h1 tabindex="-1">${t("data.title")}</h1>`;
  if (!data) return html`${title}${error ? html`<${Failure} error=${error} retry=${reload} />` : html`<${Loading} />`}`;
  const chosen = data.datasets.find(({ name }) => name === query.name);
  const show = (address) => {
    reload();
    navigate(address);
  };
  if (chosen) return html`<${Detail} key=${chosen.name} dataset=${chosen} onDelete=${() => show("/data")} />`;
  return html`
    ${title}
    ${query.name && html`<${Empty} title=${t("data.unknown", query)} />`}
    <div class="columns equal">
      <ul class="dataset-list">${data.datasets.map((dataset) => html`<li key=${dataset.name}>
        <h2>${dataset.shape.length ? html`<a href=${addressOf("data", { name: dataset.name })}>${dataset.name}</a>` : dataset.name}</h2>
        <${Description} dataset=${dataset} />
        ${!dataset.problem && html`<${Strip} dataset=${dataset} />`}
      </li>`)}</ul>
      <${DatasetUpload} datasets=${data.datasets} onStored=${({ name }) => show(addressOf("data", { name }))} />
    </div>`;
}

/** Whether a training can use a dataset now, what it holds, and the problem if it cannot be used. */
function Description({ dataset: { ready, shape, sizes, classes, stored_bytes, uploaded_at, problem } }) {
  const facts = [
    shape.join(" × "),
    sizes.train && t("train.dataset-size", { train: number(sizes.train), test: number(sizes.test), classes: classes.length }),
    stored_bytes && bytes(stored_bytes),
    uploaded_at && time(uploaded_at),
  ];
  return html`<p class="soft">
    <span class=${`status status-${ready ? "succeeded" : "failed"}`}>${t(ready ? "data.ready" : "data.not-ready")}</span> ${facts.filter(Boolean).join(" · ")}</p>
    ${problem && html`<p class="warning" lang="en">${problem}</p>`}`;
}

/** A few training pictures, evenly from the first to the last: those of a class often follow each other. */
function Strip({ dataset }) {
  const total = dataset.sizes.train ?? 0;
  const indices = Array.from({ length: Math.min(IN_STRIP, total) }, (_, place) => Math.floor((place * total) / IN_STRIP));
  return html`<div class="picture-strip">${indices.map((index) => html`
    <${LabelledPicture} key=${index} dataset=${dataset} split="train" index=${index} />`)}</div>`;
}

function Detail({ dataset, onDelete }) {
  const { name, ready, source, notes } = dataset;
  const heading = useRef(null);
  useEffect(() => heading.current.focus(), []); // so that a screen reader says what the link led to
  return html`
    <article class="stack">
      <a href="/data">← ${t("data.title")}</a>
      <h1 tabindex="-1" ref=${heading}>${name}</h1>
      <${Description} dataset=${dataset} />
      ${notes.map((note) => html`<p class="soft" lang="en">${note}</p>`)}
      <div class="row">
        ${ready && html`<a class="button" href=${addressOf("train", { dataset: name })}>${t("data.train")}</a>`}
        ${source === "upload" && html`<${DeleteButton} path=${`/v1/datasets/${name}`} name=${name} hint=${t("data.delete-hint")} onDelete=${onDelete} />`}
      </div>
      ${ready && html`<${Pictures} dataset=${dataset} />`}
    </article>`;
}

/** The pictures of a dataset, page by page. */
function Pictures({ dataset }) {
  const [{ split, from }, setPage] = useState({ split: "train", from: 0 });
  const total = dataset.sizes[split] ?? 0;
  const until = Math.min(from + PER_PAGE, total);
  const button = (text, start) => html`<button type="button" disabled=${start < 0 || start >= total}
    onClick=${() => setPage({ split, from: start })}>${text}</button>`;
  return html`
    <section class="stack" aria-label=${t("data.pictures")}>
      <div class="row">
        ${["train", "test"].map((name) => html`<label><input type="radio" name="split" checked=${split === name}
          onChange=${() => setPage({ split: name, from: 0 })} /> ${t(`train.split-${name}`)}</label>`)}
        ${button(t("data.previous"), from - PER_PAGE)}${button(t("data.next"), from + PER_PAGE)}
        <span class="soft" role="status">${number(Math.min(from + 1, total))} – ${number(until)} / ${number(total)}</span>
      </div>
      <div class="picture-grid">${Array.from({ length: until - from }, (_, place) => html`
        <${LabelledPicture} key=${split + (from + place)} dataset=${dataset} split=${split} index=${from + place} hasCaption />`)}</div>
    </section>`;
}
