// Earlier trainings, newest first, with a search.

import { html } from "../vendor/htm-preact-standalone.module.js";
import { addressOf } from "../router.js";
import { percent, t, time } from "../texts.js";
import { titleOf } from "./backends.js";
import { JobList } from "./job_list.js";
import { Status } from "./states.js";

/** List trainings. `round` changes when the list should be read again; `current` is the id of the training shown. */
export function TrainingList({ round, current }) {
  const columns = [
    { title: t("train.model"), cell: (training) => html`<a href=${addressOf("train", { id: training.id })}>${training.name} ${training.version}</a>` },
    { title: t("train.network"), className: "optional", cell: ({ request }) => (typeof request.network === "string" ? request.network : t("train.custom")) },
    { title: t("train.dataset"), className: "optional", cell: ({ request }) => request.dataset },
    { title: t("train.status"), cell: ({ status }) => html`<${Status} status=${status} />` },
    { title: t("train.test-accuracy"), className: "figure", cell: accuraciesOf },
    { title: t("train.started"), className: "optional", cell: ({ created_at }) => time(created_at) },
  ];
  return html`<${JobList} kind="trainings" filter="history=last" title=${t("train.earlier")} columns=${columns} current=${current} round=${round} />`;
}

/** The newest test accuracy of each backend, or the validation accuracy; one figure if all are equal. */
function accuraciesOf(training) {
  const found = Object.entries(training.runs).filter(([, run]) => run.history.length)
    .map(([backend, run]) => [backend, accuracyOf(run.history.at(-1))]);
  const figures = new Set(found.map(([, figure]) => figure));
  if (figures.size < 2) return [...figures][0] ?? "–";
  return found.map(([backend, figure]) => html`<div>${titleOf(backend)} ${figure}</div>`);
}

function accuracyOf({ test_accuracy, validation_accuracy }) {
  if (test_accuracy != null || validation_accuracy == null) return percent(test_accuracy);
  return t("train.on-validation", { accuracy: percent(validation_accuracy) });
}
