// The parity certificate: the same training steps in every backend, compared number by number.

import { html, useState } from "../vendor/htm-preact-standalone.module.js";
import { api } from "../api.js";
import { hasEnded, useJob } from "../live.js";
import { useResource } from "../resources.js";
import { t, time } from "../texts.js";
import { titleOf } from "./backends.js";
import { Picture } from "./picture.js";
import { Failure, Loading, Status } from "./states.js";

/** Show the newest certificate of a model's network and dataset, and start another one. */
export function ParityCheck({ name, version }) {
  const model = useResource(`/v1/models/${encodeURIComponent(name)}?version=${version}`);
  const [manifest] = Object.values(model.data?.manifests ?? {});
  return html`
    <section class="stack" aria-labelledby="compare-parity">
      <h2 id="compare-parity">${t("compare.parity")}</h2>
      <p>${t("compare.parity-hint")}</p>
      ${manifest ? html`<${Certificate} request=${manifest.request} />`
        : model.error ? html`<${Failure} error=${model.error} retry=${model.reload} />` : html`<${Loading} />`}
    </section>`;
}

function Certificate({ request: { network, dataset, optimizer } }) {
  const earlier = useResource(`/v1/certificates?${new URLSearchParams({ limit: 50, search: dataset })}`);
  const [begun, setBegun] = useState({ id: null, error: null });
  const isSame = (one, other) => JSON.stringify(one) === JSON.stringify(other);
  const found = earlier.data?.certificates.find(({ request }) => request.dataset === dataset
    && isSame(request.network, network) && isSame(request.optimizer, optimizer));
  const id = begun.id ?? found?.id ?? null;
  const { job, error } = useJob(id ? `/v1/certificates/${id}` : null);
  const isBusy = job !== null && !hasEnded(job.status);
  const begin = () => api.post("/v1/certificates", { network, dataset, optimizer })
    .then((certificate) => setBegun({ id: certificate.id, error: null }))
    .catch((refusal) => setBegun({ id: begun.id, error: refusal }));
  if (earlier.isLoading) return html`<${Loading} />`;
  return html`
    ${begun.error && html`<${Failure} error=${begun.error} />`}
    ${error && html`<${Failure} error=${error} />`}
    ${job && html`<${Result} job=${job} />`}
    <button type="button" disabled=${isBusy} onClick=${begin}>${id ? t("compare.parity-again") : t("compare.parity-start")}</button>`;
}

function Result({ job }) {
  const steps = Object.entries(job.runs).map(([backend, { precision, step }]) =>
    `${titleOf(backend)}: ${precision ?? "–"}, ${t("compare.step", { step, steps: job.request.steps })}`);
  if (job.status !== "succeeded") {
    return html`<p class="row"><${Status} status=${job.status} /><span>${steps.join("; ")}</span></p>
      ${Object.values(job.runs).filter((run) => run.error).map((run) => html`<p class="field-error" key=${run.error}>${run.error}</p>`)}`;
  }
  return html`
    <p><strong>${t(`compare.verdict-${job.verdict}`)}</strong> <span class="soft">${time(job.created_at)}</span></p>
    <ul class="compare-facts">${job.comparisons.map((pair) => html`<li key=${pair.backends.join()}>${describePair(pair)}</li>`)}
      ${job.notes.map((note) => html`<li key=${note}>${note}</li>`)}</ul>
    <details><summary>${t("compare.plot")}</summary>
      <div class="compare-plot"><${Picture} path=${`/v1/certificates/${job.id}/plot.png`} alt=${t("compare.plot-alt", { verdict: job.verdict })} /></div></details>`;
}

function describePair({ backends, first_difference: found }) {
  const names = backends.map(titleOf).join(", ");
  if (!found) return t("compare.pair-identical", { names });
  return t("compare.pair-verdict", {
    names, layer: found.layer, what: t(`compare.what-${found.what}`), step: found.step,
    precision: found.precision, difference: found.difference.toExponential(1),
  });
}
