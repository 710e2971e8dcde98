// The form that uploads a dataset: choose or drop a zip file or a folder, name it, and watch the upload.

import { html, useEffect, useRef, useState } from "../vendor/htm-preact-standalone.module.js";
import { api } from "../api.js";
import { bytes, number, t } from "../texts.js";
import { countClasses, isName, readChosen, readDropped, suggestName } from "./picked_files.js";
import { ZipLimitError, makeZip } from "./zip.js";

const TREE = "pets/\n├─ cats/\n│  ├─ 1.png\n│  └─ 2.jpg\n└─ dogs/\n   └─ 1.png";
const MAX_BARS = 12;

/**
 * The form.
 * @param {{datasets: Object[], onStored: function(Object): void}} props `datasets` of GET /v1/datasets; `onStored` is
 *   called with the stored dataset.
 */
export function DatasetUpload({ datasets, onStored }) {
  const [picked, setPicked] = useState(null);
  const [name, setName] = useState("");
  const [error, setError] = useState(null);
  const upload = useUpload(onStored);
  const pick = (found) => {
    setError(found ? null : t("data.not-one"));
    if (!found) return;
    setPicked(found);
    setName(suggestName(found.title));
    upload.reset();
  };
  const drop = async (event) => {
    event.preventDefault();
    try {
      pick(await readDropped(event.dataTransfer));
    } catch {
      setError(t("data.not-readable"));
    }
  };
  const held = datasets.find((dataset) => dataset.name === name);
  const problem = !isName(name) ? t("data.name-rule") : held && held.source !== "upload" ? t("data.name-taken") : null;
  const submit = (event) => {
    event.preventDefault();
    upload.start(picked, name);
  };
  return html`
    <section class="panel stack" aria-labelledby="upload" onDragOver=${(event) => event.preventDefault()} onDrop=${drop}>
      <h2 id="upload">${t("data.upload")}</h2>
      ${upload.phase ? html`<${UploadProgress} upload=${upload} />` : html`
        <${Chooser} onPick=${pick} isFirst=${!picked} />
        ${error && html`<p class="field-error" role="alert">${error}</p>`}
        ${upload.error && html`<${Refusal} text=${upload.error} />`}
        ${picked ? html`
          <form class="stack" onSubmit=${submit}>
            <${Summary} picked=${picked} />
            <div class="field">
              <label for="dataset-name">${t("data.name")}</label>
              <input id="dataset-name" value=${name} maxlength="63" autocomplete="off" spellcheck=${false} aria-invalid=${Boolean(problem)}
                aria-describedby="dataset-name-hint" onInput=${(event) => setName(event.target.value)} />
              <p id="dataset-name-hint" class=${problem ? "field-error" : "field-hint"}>${problem ?? t(held ? "data.replaces" : "data.name-rule")}</p>
            </div>
            <button class="primary" disabled=${Boolean(problem)}>${t(held ? "data.replace" : "data.start", { name })}</button>
          </form>`
        : html`<${Layout} />`}`}
    </section>`;
}

function Chooser({ onPick, isFirst }) {
  const zip = useRef(null);
  const folder = useRef(null);
  const read = (event) => {
    const found = readChosen(event.target);
    event.target.value = ""; // the same file can be chosen again after it was changed
    if (found) onPick(found);
  };
  return html`
    <div class="drop">
      <p>${t(isFirst ? "data.drop" : "data.drop-other")}</p>
      <div class="row">
        <button type="button" onClick=${() => folder.current.click()}>${t("data.choose-folder")}</button>
        <button type="button" onClick=${() => zip.current.click()}>${t("data.choose-zip")}</button>
      </div>
      <input type="file" hidden webkitdirectory ref=${folder} onChange=${read} />
      <input type="file" hidden accept=".zip,application/zip" ref=${zip} onChange=${read} />
    </div>`;
}

/** The layout that a zip file or a folder should have. */
function Layout() {
  return html`
    <div>
      <p>${t("data.layout")}</p>
      <pre class="tree" role="img" aria-label=${t("data.tree")}>${TREE}</pre>
      <p class="field-hint">${t("data.layout-more")}</p>
    </div>`;
}

/** What was picked. For a folder: how many pictures each class has. */
function Summary({ picked }) {
  const size = picked.zip ? picked.zip.size : picked.files.reduce((sum, { file }) => sum + file.size, 0);
  const classes = [...countClasses(picked.files)];
  const largest = Math.max(1, ...classes.map(([, count]) => count));
  const values = { title: picked.title || t("data.folders"), files: number(picked.files.length), classes: classes.length, size: bytes(size) };
  return html`
    <div>
      <p class="state-title">${t(picked.zip ? "data.picked-zip" : "data.picked-folder", values)}</p>
      ${!picked.zip && classes.length < 2 && html`<p class="field-error">${t("data.too-few")}</p>`}
      ${classes.length > 0 && html`<dl class="class-bars">${classes.slice(0, MAX_BARS).map(([name, count]) => html`
        <div key=${name}><dt>${name}</dt><dd>${number(count)}<span class="bar"><span style=${{ width: `${(100 * count) / largest}%` }}></span></span></dd></div>`)}
      </dl>`}
      ${classes.length > MAX_BARS && html`<p class="field-hint">${t("data.more-classes", { count: classes.length - MAX_BARS })}</p>`}
    </div>`;
}

/** Why an upload failed. The button that had the focus is gone, so the text takes it. */
function Refusal({ text }) {
  const message = useRef(null);
  useEffect(() => message.current.focus(), [text]);
  return html`<p class="field-error" role="alert" tabindex="-1" ref=${message}>${text}</p>`;
}

function UploadProgress({ upload }) {
  const { phase, done, total } = upload;
  const heading = useRef(null);
  useEffect(() => heading.current.focus(), []);
  const text = phase === "packing" ? t("data.packing", { done: number(done), total: number(total) })
    : phase === "sending" ? t("data.sending", { done: bytes(done), total: bytes(total) }) : t("data.checking");
  const isKnown = phase !== "checking";
  return html`
    <div>
      <p role="status" tabindex="-1" ref=${heading}>${t(`data.phase-${phase}`)}</p>
      <p class="soft">${text}</p>
      <div class=${isKnown ? "bar" : "bar endless"} role="progressbar" aria-label=${t("data.upload")} aria-valuemin="0" aria-valuemax=${total}
        aria-valuenow=${isKnown ? done : null}><span style=${{ width: isKnown ? `${(100 * done) / Math.max(1, total)}%` : "100%" }}></span></div>
      <p><button type="button" onClick=${upload.cancel}>${t("data.cancel")}</button></p>
    </div>`;
}

/** The hook that uploads what was picked: `phase` is null, or `packing`, `sending` or `checking`. */
function useUpload(onStored) {
  const idle = { phase: null, done: 0, total: 0, error: null };
  const [state, setState] = useState(idle);
  const running = useRef(null);
  const start = async (picked, name) => {
    const abort = new AbortController();
    running.current = abort;
    const show = (phase, done, total) => setState({ phase, done, total, error: null });
    try {
      show("packing", 0, picked.files.length);
      const zip = picked.zip ?? await makeZip(picked.files, {
        signal: abort.signal, onProgress: (done) => done % 50 === 0 && show("packing", done, picked.files.length),
      });
      show("sending", 0, zip.size);
      const onProgress = (sent) => show(sent < zip.size ? "sending" : "checking", sent, zip.size);
      const stored = await api.upload(`/v1/datasets/${name}`, zip, { signal: abort.signal, onProgress });
      setState(idle);
      onStored(stored);
    } catch (error) {
      setState({ ...idle, error: explain(error) });
    }
  };
  return { ...state, start, cancel: () => running.current?.abort(), reset: () => setState(idle) };
}

function explain(error) {
  if (error.name === "AbortError") return t("data.cancelled");
  if (error instanceof ZipLimitError) return t("data.too-large");
  if (error.name === "NotFoundError" || error.name === "NotReadableError") return t("data.not-readable");
  return error.isOffline ? t("data.connection-lost") : error.message;
}
