// One dataset: what it holds, its pictures page by page, and what can be done with it.

import { html, useEffect, useRef, useState } from "../vendor/htm-preact-standalone.module.js";
import { api } from "../api.js";
import { addressOf, navigate } from "../router.js";
import { number, t } from "../texts.js";
import { Readiness, describeDataset } from "./dataset_list.js";
import { LabelledPicture, Picture } from "./picture.js";

const PER_PAGE = 24;
const SPLITS = ["train", "test"];
const IN_FIGURE = 50;

/** Show a dataset as GET /v1/datasets describes it. `onDelete` is called after it was deleted. */
export function DatasetDetail({ dataset, onDelete }) {
  const heading = useRef(null);
  useEffect(() => heading.current.focus(), []); // so that a screen reader says what the link led to
  return html`
    <article class="stack">
      <header>
        <p><a href="/data">${t("data.all")}</a></p>
        <h1 tabindex="-1" ref=${heading}>${dataset.name}</h1>
        <p class="row"><${Readiness} dataset=${dataset} /><span class="soft">${describeDataset(dataset).join(" · ")}</span></p>
        ${dataset.problem && html`<p class="dataset-problem" lang="en">${dataset.problem}</p>`}
        ${dataset.notes.map((note) => html`<p class="field-hint" lang="en" key=${note}>${note}</p>`)}
      </header>
      <div class="row">
        ${dataset.ready && html`<a class="button primary" href=${addressOf("train", { dataset: dataset.name })}>${t("data.train")}</a>`}
        ${dataset.source === "upload" && html`<${DeleteButton} name=${dataset.name} onDelete=${onDelete} />`}
      </div>
      ${dataset.ready && html`<${Pictures} dataset=${dataset} /><${SamplesFigure} dataset=${dataset} />`}
    </article>`;
}

function Pictures({ dataset }) {
  const [{ split, from }, setPage] = useState({ split: "train", from: 0 });
  const total = dataset.sizes[split] ?? 0;
  const indices = Array.from({ length: Math.max(0, Math.min(PER_PAGE, total - from)) }, (_, place) => from + place);
  const range = { first: number(Math.min(from + 1, total)), last: number(from + indices.length), total: number(total) };
  return html`
    <section aria-labelledby="pictures">
      <h2 id="pictures">${t("data.pictures")}</h2>
      <div class="row pages">
        <fieldset class="choices"><legend class="hidden">${t("data.split")}</legend>
          ${SPLITS.map((name) => html`<label key=${name}><input type="radio" name="split" checked=${split === name}
            onChange=${() => setPage({ split: name, from: 0 })} />${t(`data.split-${name}`)}</label>`)}</fieldset>
        <span class="soft" role="status">${t("data.range", range)}</span>
        <div class="row">
          <button type="button" disabled=${from === 0} onClick=${() => setPage({ split, from: Math.max(0, from - PER_PAGE) })}>${t("data.previous")}</button>
          <button type="button" disabled=${from + PER_PAGE >= total} onClick=${() => setPage({ split, from: from + PER_PAGE })}>${t("data.next")}</button>
        </div>
      </div>
      <div class="picture-grid">${indices.map((index) => html`
        <${LabelledPicture} key=${`${split}-${index}`} dataset=${dataset} split=${split} index=${index} hasCaption />`)}</div>
    </section>`;
}

/** The server's figure of the first training pictures, for slides. It is drawn when it is first opened. */
function SamplesFigure({ dataset }) {
  const [isOpen, setIsOpen] = useState(false);
  const path = `/v1/datasets/${dataset.name}/samples.png?count=${IN_FIGURE}`;
  return html`
    <details onToggle=${(event) => setIsOpen(event.currentTarget.open)}>
      <summary>${t("data.figure")}</summary>
      ${isOpen && html`<div class="samples stack"><${Picture} path=${path} alt=${t("data.figure-of", { name: dataset.name })} /></div>
        <p><button type="button" onClick=${() => api.download(path, `${dataset.name}.png`)}>${t("data.figure-download")}</button></p>`}
    </details>`;
}

/** Delete an upload, after the user has confirmed it. */
function DeleteButton({ name, onDelete }) {
  const dialog = useRef(null);
  const [error, setError] = useState(null);
  const remove = async () => {
    try {
      await api.delete(`/v1/datasets/${name}`);
      dialog.current.close();
      onDelete();
      navigate("/data");
    } catch (refusal) {
      setError(refusal);
    }
  };
  return html`
    <button type="button" onClick=${() => dialog.current.showModal()}>${t("data.delete")}</button>
    <dialog ref=${dialog} aria-labelledby="delete-title">
      <h2 id="delete-title">${t("data.delete-title", { name })}</h2>
      <p>${t("data.delete-hint")}</p>
      ${error && html`<p class="field-error" role="alert">${error.message}</p>`}
      <div class="row end">
        <button type="button" onClick=${() => dialog.current.close()}>${t("data.keep")}</button>
        <button type="button" class="primary" onClick=${remove}>${t("data.delete")}</button>
      </div>
    </dialog>`;
}
