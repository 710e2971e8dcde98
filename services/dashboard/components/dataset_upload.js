// The form that uploads a dataset: choose or drop a zip file or a folder, name it, and watch the upload.

import { html, useEffect, useRef, useState } from "../vendor/htm-preact-standalone.module.js";
import { api } from "../api.js";
import { bytes, number, t } from "../texts.js";
import { readChosen, readDropped, suggestName } from "./picked_files.js";
import { ProgressBar } from "./progress_bar.js";
import { ZipLimitError, makeZip } from "./zip.js";

const LAYOUT = "pets/cats/1.png\npets/cats/2.jpg\npets/dogs/1.png";

/**
 * The form.
 * @param {{datasets: Object[], onStored: function(Object): void}} props `datasets` of GET /v1/datasets; `onStored` is
 *   called with the stored dataset.
 */
export function DatasetUpload({ datasets, onStored }) {
  const [picked, setPicked] = useState(null);
  const [name, setName] = useState("");
  const upload = useUpload(onStored);
  const pick = (found) => {
    upload.reset(found ? null : t("data.not-one"));
    if (!found) return;
    setPicked(found);
    setName(suggestName(found.title));
  };
  const drop = (event) => {
    event.preventDefault();
    readDropped(event.dataTransfer).then(pick, () => upload.reset(t("data.not-readable")));
  };
  const held = datasets.find((dataset) => dataset.name === name);
  const isTaken = held && held.source !== "upload";
  const submit = (event) => {
    event.preventDefault();
    upload.start(picked, name);
  };
  return html`
    <section class="panel stack" aria-labelledby="upload" onDragOver=${(event) => event.preventDefault()} onDrop=${drop}>
      <h2 id="upload">${t("data.upload")}</h2>
      ${upload.phase ? html`<${UploadProgress} ...${upload} />` : html`
        <p>${t("data.drop")}</p>
        <div class="row">${["folder", "zip"].map((kind) => html`<${FileButton} key=${kind} kind=${kind} onPick=${pick} />`)}</div>
        ${upload.error && html`<${Refusal} text=${upload.error} />`}
        ${picked ? html`
          <form class="stack" onSubmit=${submit}>
            <p>${describePicked(picked)}</p>
            <div class="field"><label for="dataset-name">${t("data.name")}</label>
              <input id="dataset-name" value=${name} required maxlength="63" pattern="[a-z0-9][a-z0-9_\\-]*" title=${t("train.name-rule")}
                onInput=${({ target }) => setName(target.value)} /></div>
            ${isTaken && html`<p class="field-error" role="alert">${t("data.name-taken")}</p>`}
            <button class="primary" disabled=${isTaken}>${t(held ? "data.replace" : "data.start", { name })}</button>
          </form>`
        : html`<p>${t("data.layout")}</p><pre>${LAYOUT}</pre>`}`}
    </section>`;
}

/** A button that lets the user choose a folder or a zip file. */
function FileButton({ kind, onPick }) {
  const input = useRef(null);
  const read = ({ target }) => {
    const found = readChosen(target);
    target.value = ""; // the same file can be chosen again after it was changed
    if (found) onPick(found);
  };
  return html`
    <button type="button" onClick=${() => input.current.click()}>${t(`data.choose-${kind}`)}</button>
    <input type="file" hidden webkitdirectory=${kind === "folder"} accept=".zip" ref=${input} onChange=${read} />`;
}

function describePicked({ title, zip, files }) {
  if (zip) return `${title}: ${bytes(zip.size)}`;
  const size = files.reduce((sum, { file }) => sum + file.size, 0);
  return t("data.picked-folder", { title, files: number(files.length), size: bytes(size) });
}

/** Why an upload failed. The button that had the focus is gone, so the text takes it. */
function Refusal({ text }) {
  const message = useRef(null);
  useEffect(() => message.current.focus(), [text]);
  return html`<p class="field-error" role="alert" tabindex="-1" ref=${message}>${text}</p>`;
}

function UploadProgress({ phase, done, total, cancel }) {
  const text = useRef(null);
  useEffect(() => text.current.focus(), []);
  const write = phase === "packing" ? number : bytes;
  return html`
    <p role="status" tabindex="-1" ref=${text}>${t(`data.phase-${phase}`)}</p>
    ${phase !== "checking" && html`<p class="soft">${write(done)} / ${write(total)}</p>`}
    <${ProgressBar} label=${t("data.upload")} done=${done} of=${total} />
    <button type="button" onClick=${cancel}>${t("train.cancel")}</button>`;
}

/** The hook that uploads what was picked: `phase` is null, or `packing`, `sending` or `checking`. */
function useUpload(onStored) {
  const [state, setState] = useState({});
  const running = useRef(null);
  const reset = (error = null) => setState({ error });
  const show = (phase, done, total) => setState({ phase, done, total });
  const start = async (picked, name) => {
    running.current = new AbortController();
    const { signal } = running.current;
    try {
      const count = picked.files.length;
      const zip = picked.zip ?? await makeZip(picked.files, { signal, onProgress: (done) => done % 50 === 1 && show("packing", done, count) });
      show("sending", 0, zip.size);
      const onProgress = (sent) => show(sent < zip.size ? "sending" : "checking", sent, zip.size);
      const stored = await api.upload(`/v1/datasets/${name}`, zip, { signal, onProgress });
      reset();
      onStored(stored);
    } catch (error) {
      reset(explain(error));
    }
  };
  return { ...state, start, reset, cancel: () => running.current.abort() };
}

function explain(error) {
  if (error.name === "AbortError") return t("status.cancelled");
  if (error instanceof ZipLimitError) return t("data.too-large");
  if (error.name === "NotFoundError" || error.name === "NotReadableError") return t("data.not-readable");
  return error.isOffline ? t("state.offline") : error.message;
}
