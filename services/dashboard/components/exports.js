// The files that a version of a model can be exported to: start one, see how it was verified, download it.

import { html, useEffect, useMemo, useState } from "../vendor/htm-preact-standalone.module.js";
import { api } from "../api.js";
import { hasEnded, useJob } from "../live.js";
import { useResource } from "../resources.js";
import { bytes, number, percent, t } from "../texts.js";
import { titleOf } from "./backends.js";
import { JobTable } from "./job_list.js";
import { ProgressBar } from "./progress_bar.js";
import { Failure, Loading, Status } from "./states.js";

/**
 * Show the files of a version, once the user opens them.
 * @param {{models: {id: string, path: string, label: string}[]}} props the version's model of each backend: the
 *   backend, the model's path in the API, and how it is called.
 */
export function Exports({ models }) {
  const [isOpen, setOpen] = useState(false);
  return html`<details onToggle=${({ currentTarget }) => setOpen(currentTarget.open)}>
    <summary>${t("models.exports")}</summary>
    ${isOpen && models.map((model) => html`<${Files} key=${model.id} ...${model} />`)}
  </details>`;
}

function Files({ id, path, label }) {
  const address = `${path}/exports`;
  const { data, error, reload } = useResource(address);
  const rows = useMemo(() => data?.formats.map(({ format }) => ({
    id: format, address, label: `${format}, ${label}`, reload, ...data.exports.find((each) => each.format === format),
  })), [data]);
  if (!rows) return error ? html`<${Failure} error=${error} retry=${reload} />` : html`<${Loading} />`;
  return html`<${JobTable} jobs=${rows} title=${label} columns=${[
    { title: titleOf(id), cell: (row) => row.id },
    { title: t("models.use"), className: "optional", cell: (row) => t(`models.for-${row.id}`) },
    { title: t("models.verified"), cell: (row) => html`<${File} ...${row} />` },
  ]} />`;
}

/** How a file was verified, and the buttons that make and download it. `file` is undefined as long as there is none. */
function File({ id, address, label, reload, file, verification }) {
  const [path, setPath] = useState(null);
  const [refusal, setRefusal] = useState(null);
  const { job, error } = useJob(path);
  const status = job?.status;
  const problem = (refusal ?? error)?.message ?? job?.error;
  useEffect(() => { if (status === "succeeded") reload(); }, [status]);
  const start = () => {
    setRefusal(null);
    api.post(address, { format: id }).then((made) => setPath(`/v1/exports/${made.id}`), setRefusal);
  };
  return html`
    ${file && html`<p>${t("models.same", {
      runtime: verification.runtime, same: number(verification.same_class), examples: number(verification.examples),
      accuracy: percent(verification.accuracy.export),
    })}</p>`}
    ${problem && html`<p class="field-error" role="alert">${problem}</p>`}
    ${status === "running" && job.progress && html`<${ProgressBar} label=${label} ...${job.progress} />`}
    <div class="row">
      ${status && status !== "succeeded" && html`<${Status} status=${status} />`}
      ${(!status || hasEnded(status)) && html`<button type="button" class="plain" aria-label=${`${t("models.export")} ${label}`} onClick=${start}>${t("models.export")}</button>`}
      ${file && html`<button type="button" class="plain" aria-label=${`${t("models.download")} ${label}`}
        onClick=${() => api.download(`${address}/${id}`, file.name).catch(setRefusal)}>${t("models.download")}</button> ${bytes(file.size)}`}
    </div>`;
}
