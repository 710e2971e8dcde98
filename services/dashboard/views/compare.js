// The view Compare: choose a model and a version, evaluate it in every backend, and read how the backends differ.

import { html, useState } from "../vendor/htm-preact-standalone.module.js";
import { api } from "../api.js";
import { BackendName, colourOfBackend, titleOf } from "../components/backends.js";
import { Choice } from "../components/fields.js";
import { JobTable } from "../components/job_list.js";
import { Picture } from "../components/picture.js";
import { Empty, Failure, Loading, Status } from "../components/states.js";
import { hasEnded, useJob } from "../live.js";
import { useResource } from "../resources.js";
import { addressOf, navigate } from "../router.js";
import { number, percent, t, time } from "../texts.js";

const Z = 1.959964; // the normal distribution's 97.5 % quantile
const FIRST = 12; // pictures that are shown before the user asks for all
const CERTAIN = 0.05; // below this p-value a difference is called larger than chance
const STRONGEST = 45; // per cent of the backend's colour, so that text on it stays readable

/** The view of /compare?model=&version=. Without a model in the address, it shows the newest training's. */
export function View({ query }) {
  const models = useResource("/v1/models");
  const newest = useResource(query.model ? null : "/v1/trainings?limit=1&search=succeeded&history=last");
  return html`
    <h1 tabindex="-1">${t("compare.title")}</h1>
    ${models.error && !models.data ? html`<${Failure} error=${models.error} retry=${models.reload} />`
      : !models.data || newest.isLoading ? html`<${Loading} />`
      : !models.data.models.length ? html`<${Empty} title=${t("list.none-yet")}><a href="/train">${t("view.train")}</a><//>`
      : html`<${Chosen} models=${models.data.models} query=${query} newest=${newest.data?.trainings[0]?.name} />`}`;
}

/** The choice of a model and a version, and what is known about them. */
function Chosen({ models, query, newest }) {
  const order = Object.keys(useResource("/v1/status").data?.backends ?? {});
  const found = models.find((model) => model.name === (query.model ?? newest));
  const { name, versions } = found ?? (query.model ? { name: query.model, versions: {} } : models[0]);
  const lists = Object.values(versions);
  const all = [...new Set(lists.flat())].sort((one, other) => other - one);
  const version = Number(query.version ?? all.find((each) => lists.every((list) => list.includes(each))) ?? all[0]);
  const show = (chosen) => navigate(addressOf("compare", chosen));
  return html`
    <div class="row">
      <${Choice} id="model" label=${t("train.model")} value=${name} options=${[...new Set([...models.map((model) => model.name), name])]}
        onChange=${(model) => show({ model })} />
      <${Choice} id="version" label=${t("compare.version")} value=${version} options=${[...new Set([...all, version])].filter(Boolean)}
        onChange=${(chosen) => show({ model: name, version: chosen })} />
    </div>
    ${!all.includes(version) ? html`<${Empty} title=${t("compare.no-version")} />`
      : html`<${Comparison} key=${`${name} ${version}`} name=${name} version=${version} order=${order}
          backends=${Object.keys(versions).filter((backend) => versions[backend].includes(version))} />`}`;
}

/** The newest evaluation of a version, and the certificate of its network. */
function Comparison({ name, version, backends, order }) {
  const trainings = useResource(`/v1/trainings?limit=200&search=${name}&history=last`); // it finds other models, too
  const training = trainings.data?.trainings.find((each) => each.name === name && each.version === version);
  const model = useResource(`/v1/models/${name}?version=${version}`);
  const [manifest] = Object.values(model.data?.manifests ?? {});
  const { network, dataset, optimizer } = manifest?.request ?? {};
  const identify = (request) => JSON.stringify([request.network, request.dataset, request.optimizer]);
  return html`
    <${NewestJob} kind="evaluations" search=${name} label=${t("compare.evaluate")} hint=${t("compare.evaluate-hint")}
      request=${{ model: name, version, backends }}
      isWanted=${(job) => job.model === name && job.version === version && job.split === "test"}
      show=${(job) => html`<${Evaluation} evaluation=${job} order=${order} training=${training} />`} />
    <section class="stack" aria-label=${t("compare.parity")}>
      <h2>${t("compare.parity")}</h2>
      ${manifest ? html`<${NewestJob} kind="certificates" search=${dataset} label=${t("compare.parity-start")} hint=${t("compare.parity-hint")}
          request=${{ network, dataset, optimizer }}
          isWanted=${({ request }) => identify(request) === identify(manifest.request)}
          show=${(job) => job.verdict && html`<${Certificate} job=${job} />`} />`
        : model.error ? html`<${Failure} error=${model.error} retry=${model.reload} />` : html`<${Loading} />`}
    </section>`;
}

/** The newest job of a kind that `isWanted`, or the one that the button begins. `show` draws what came of it. */
function NewestJob({ kind, search, label, hint, request, isWanted, show }) {
  const earlier = useResource(`/v1/${kind}?limit=200&search=${search}`);
  const [begun, setBegun] = useState({});
  const id = begun.id ?? earlier.data?.[kind].find(isWanted)?.id;
  const { job, error } = useJob(id ? `/v1/${kind}/${id}` : null);
  const begin = () => api.post(`/v1/${kind}`, request).then(setBegun, (refusal) => setBegun({ id, refusal }));
  const failure = begun.refusal ?? error ?? earlier.error;
  return html`
    <div class="row">
      <button type="button" class=${id ? null : "primary"} disabled=${job && !hasEnded(job.status)} onClick=${begin}>${label}</button>
      ${job && html`<${Status} status=${job.status} /><span class="soft">${time(job.created_at)}</span>`}
    </div>
    ${failure && html`<${Failure} error=${failure} />`}
    ${job ? html`<${Parts} parts=${job.results ?? job.runs} steps=${job.request?.steps} />${show(job)}`
      : earlier.isLoading || (id && !error) ? html`<${Loading} />` : !failure && html`<${Empty} title=${hint} />`}`;
}

/** What each backend has to say about its part of a job: its progress, its failure, its warnings. */
function Parts({ parts, steps }) {
  return Object.entries(parts).map(([backend, { status, precision, step, error, warnings = [] }]) => html`
    ${status !== "succeeded" && html`<div class="row">${titleOf(backend)}<${Status} status=${status} />
      ${precision && `${precision}, ${step}/${steps}`}${error && html`<span class="field-error">${error}</span>`}</div>`}
    ${warnings.map((warning) => html`<p class="soft">${warning}</p>`)}`);
}

function Evaluation({ evaluation, order, training }) {
  const results = Object.entries(evaluation.results).filter(([, { confusion }]) => confusion)
    .map(([backend, result]) => ({ id: backend, index: order.indexOf(backend), ...result }));
  if (!results.length) return null;
  const classes = results[0].per_class.map((each) => each.class);
  return html`
    <${Accuracies} results=${results} title=${`${evaluation.model} ${evaluation.version}, ${evaluation.dataset}`} />
    ${evaluation.comparisons.map((pair) => html`<${Pair} pair=${pair} evaluation=${evaluation} training=${training} classes=${classes} />`)}
    <div class="columns equal">${results.map((result) => html`<${ConfusionMatrix} ...${result} backend=${result.id} classes=${classes} />`)}</div>`;
}

/** A row per backend: the accuracy, its 95 % interval as numbers and as a bar on a scale that all rows share. */
function Accuracies({ results, title }) {
  const rows = results.map((result) => ({ ...result, ...wilsonInterval(result.accuracy, result.confusion.flat().reduce(add)) }));
  const start = Math.min(...rows.map(({ low }) => low));
  const span = Math.max(...rows.map(({ high }) => high)) - start || 1;
  const place = (value) => `${(100 * (value - start)) / span}%`;
  return html`<${JobTable} jobs=${rows} title=${title} columns=${[
    { title: t("models.backend"), cell: ({ id, index }) => html`<${BackendName} backend=${id} index=${index} />` },
    { title: t("train.test-accuracy"), className: "figure", cell: ({ accuracy }) => html`<strong>${percent(accuracy)}</strong>` },
    { title: t("train.test-loss"), className: "figure optional", cell: ({ loss }) => number(loss, 4) },
    { title: t("compare.interval"), className: "compare-interval", cell: ({ index, accuracy, low, high }) => html`${percent(low)} – ${percent(high)}
      <div style=${{ "--colour": `var(${colourOfBackend(index)})`, "--low": place(low), "--high": place(high), "--at": place(accuracy) }}></div>` },
  ]} />`;
}

/** Return Wilson's 95 % interval of a fraction of successes in `count` trials (Wilson 1927). */
function wilsonInterval(fraction, count) {
  const scale = 1 + Z ** 2 / count;
  const middle = (fraction + Z ** 2 / (2 * count)) / scale;
  const half = (Z / scale) * Math.sqrt((fraction * (1 - fraction)) / count + Z ** 2 / (4 * count ** 2));
  return { low: Math.max(0, middle - half), high: Math.min(1, middle + half) };
}

/** Two backends on the same pictures: accuracies, McNemar's test in words, weights, and pictures with different answers. */
function Pair({ pair, evaluation, training, classes }) {
  const { backends, mcnemar, disagreements } = pair;
  const [isOpen, setOpen] = useState(false);
  const [first, second] = backends.map(titleOf);
  const [one, other] = backends.map((backend) => number(mcnemar.only[backend]));
  const { value, low, high } = pair.accuracy_difference;
  const points = (fraction) => number(100 * fraction, 2);
  const trained = training?.comparisons.find((each) => each.backends.join() === backends.join());
  const shown = isOpen ? disagreements : disagreements.slice(0, FIRST);
  return html`
    <section class="panel" aria-label=${`${first} – ${second}`}>
      <h2>${first} – ${second}</h2>
      <ul>${[
        t("compare.difference", { first, second, value: points(value), low: points(low), high: points(high) }),
        t("compare.mcnemar", { first, second, one, other }) + t(mcnemar.p_value < CERTAIN ? "compare.real" : "compare.chance", { p: round(mcnemar.p_value) }),
        t("train.agreement", { first, second, agreement: percent(pair.agreement), split: t(`train.split-${evaluation.split}`) }),
        trained?.max_weight_difference != null && t("train.weight-difference", { difference: round(trained.max_weight_difference) }),
        training?.request.pairing === "native" && t("compare.native"),
        ...pair.notes,
      ].map((fact) => fact && html`<li>${fact}</li>`)}</ul>
      ${shown.length > 0 && html`<h3>${t("compare.disagreements")}</h3>
        <${JobTable} jobs=${shown.map((each) => ({ ...each, id: each.index }))} title=${t("compare.disagreements")} columns=${[
          { title: t("compare.picture"), cell: ({ index }) => html`<${Picture} isPixelated width="48" height="48" alt=${`${t("compare.picture")} ${index}`}
            path=${`/v1/datasets/${evaluation.dataset}/pictures/${evaluation.split}/${index}.png`} />` },
          { title: t("compare.label"), cell: ({ label }) => classes[label] },
          ...backends.map((backend) => ({ title: titleOf(backend), cell: ({ label, [backend]: answer }) =>
            html`<span class=${`status status-${answer === label ? "succeeded" : "failed"}`}>${classes[answer]}</span>` })),
        ]} />`}
      ${disagreements.length > shown.length && html`<button type="button" onClick=${() => setOpen(true)}>${t("compare.all", { count: disagreements.length })}</button>`}
    </section>`;
}

/** The numbers are counts of pictures. Colours show the share of a row; the square root makes rare mistakes visible. */
function ConfusionMatrix({ backend, index, confusion, classes }) {
  const title = t("compare.confusion", { backend: titleOf(backend) });
  const isLong = classes.some((name) => name.length > 3);
  const shareOf = (count, row) => `${STRONGEST * Math.sqrt(count / (row.reduce(add) || 1))}%`;
  return html`<div class="scroll" tabindex="0" role="region" aria-label=${title}>
    <table class=${`compare-matrix ${isLong ? "long" : ""}`} style=${{ "--colour": `var(${colourOfBackend(index)})` }}>
      <caption>${title}</caption>
      <thead><tr><th scope="col">${t("compare.corner")}</th>${classes.map((name) => html`<th scope="col"><span>${name}</span></th>`)}</tr></thead>
      <tbody>${confusion.map((counts, row) => html`<tr><th scope="row">${classes[row]}</th>
        ${counts.map((count) => html`<td style=${{ "--share": shareOf(count, counts) }}>${count}</td>`)}</tr>`)}</tbody>
    </table></div>`;
}

/** The same training steps in every backend, compared number by number. */
function Certificate({ job }) {
  const verdict = t(`compare.verdict-${job.verdict}`);
  return html`
    <p><strong>${verdict}</strong></p>
    <ul>${job.comparisons.map(({ backends, first_difference: found }) => found && html`<li>${t("compare.first-difference", {
        ...found, names: backends.map(titleOf).join(" – "), difference: round(found.difference) })}</li>`)}
      ${job.notes.map((note) => html`<li>${note}</li>`)}</ul>
    <details><summary>${t("compare.plot")}</summary>
      <${Picture} path=${`/v1/certificates/${job.id}/plot.png`} alt=${`${t("compare.plot")}: ${verdict}`} /></details>`;
}

function add(one, other) {
  return one + other;
}

function round(value) {
  return Number(value.toPrecision(2));
}
