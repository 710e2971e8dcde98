// One release: its gates in their order, what it did to `stable`, and the button that reverts it.

import { html, useState } from "../vendor/htm-preact-standalone.module.js";
import { api } from "../api.js";
import { hasEnded } from "../live.js";
import { addressOf } from "../router.js";
import { t, time } from "../texts.js";
import { ConfirmButton } from "./confirm_button.js";
import { Facts } from "./facts.js";
import { Picture } from "./picture.js";
import { Status } from "./states.js";

/** Show a release of GET /v1/releases/{id}. */
export function ReleaseResult({ release: followed, path }) {
  const [reverted, setReverted] = useState(null);
  const release = reverted ?? followed; // a job that has ended is not followed any more
  const { name, version, training, gates, dataset, stable, reverted_at } = release;
  return html`
    <p>${describeStable(release)}</p>
    <div class="row">
      ${training && html`<a class="button" href=${addressOf("train", { id: training })}>${t("train.training")}</a>`}
      ${version && html`<a class="button" href=${addressOf("models", { model: name })}>${t("train.model")}</a>`}
      ${stable.after && !reverted_at && html`<${ConfirmButton} text=${t("release.revert")} title=${t("release.revert-title")}
        hint=${stable.before ? t("release.revert-to", stable) : t("release.revert-none")} action=${() => api.post(`${path}/revert`).then(setReverted)} />`}
    </div>
    <h2>${t("release.gates")}</h2>
    <ol class="gates">${gates.map((gate) => html`<${Gate} key=${gate.gate} ...${gate} dataset=${dataset} hasEnded=${hasEnded(release.status)} />`)}</ol>`;
}

/** Write what a release did to `stable`. */
export function describeStable({ stable: { before, after }, reverted_at, status }) {
  if (reverted_at) return t("release.reverted", { time: time(reverted_at) });
  if (after) return before ? t("release.moved", { before, after }) : t("release.is-first", { after });
  if (before) return t("release.stays", { before });
  return hasEnded(status) ? t("release.none") : ""; // until it runs, a release does not know `stable`
}

function Gate({ gate, status, summary, figures, pictures, dataset, hasEnded: isOver }) {
  return html`<li><div class="row"><strong>${t(`release.gate-${gate}`)}</strong><${Status} status=${isOver && status === "waiting" ? "unreached" : status} /></div>
    <p lang="en">${summary}</p>
    ${dataset && pictures.length > 0 && html`<div class="picture-grid">${pictures.map(({ split, index, why }) => html`<figure>
      <${Picture} isPixelated path=${`/v1/datasets/${dataset}/pictures/${split}/${index}.png`} alt=${t("data.picture", { index })} />
      <figcaption lang="en">${why}</figcaption></figure>`)}</div>`}
    ${Object.keys(figures).length > 0 && html`<${Facts} title=${t("chart.table")} facts=${figures} />`}</li>`;
}
