// The kinds of jobs, as the view Queue shows all of them: where each is read, what it is called, and where it is shown.

import { addressOf } from "../router.js";
import { t } from "../texts.js";
import { titleOf } from "./backends.js";

/** Return a training's or a model's name with its version. A training that publishes nothing has no version. */
export function versionOf({ name, version }) {
  return version ? t("train.version", { name, version }) : name;
}

/**
 * Kind -> `title`, the key of its name; `list`, the last part of its path and the member of the response that holds the
 * jobs; `nameOf`, what a job works on; `addressOf`, the view that shows it, if there is one; `canCancel`.
 */
export const KINDS = {
  training: {
    title: "train.training", list: "trainings", canCancel: true,
    nameOf: versionOf,
    addressOf: ({ id }) => addressOf("train", { id }),
  },
  evaluation: {
    title: "queue.evaluation", list: "evaluations",
    nameOf: ({ dataset, ...job }) => `${t("load.test-of", job)}, ${dataset}`,
    addressOf: ({ model, version }) => addressOf("compare", { model, version }),
  },
  certificate: {
    title: "compare.parity", list: "certificates",
    nameOf: ({ request: { network, dataset } }) => `${typeof network === "string" ? network : t("train.custom")}, ${dataset}`,
    addressOf: () => null, // it belongs to a network, not to a model that a view could show
  },
  loadtest: {
    title: "load.test", list: "loadtests", canCancel: true,
    nameOf: (job) => t("load.test-of", job),
    addressOf: ({ id }) => addressOf("load", { id }),
  },
  search: {
    title: "view.search", list: "searches", canCancel: true,
    nameOf: ({ name, request: { dataset } }) => `${name}, ${dataset}`,
    addressOf: ({ id }) => addressOf("search", { id }),
  },
  release: {
    title: "release.release", list: "releases", canCancel: true,
    nameOf: versionOf,
    addressOf: ({ id }) => addressOf("releases", { id }),
  },
  transplant: {
    title: "queue.transplant", list: "transplants",
    nameOf: ({ source, model }) => `${versionOf(source)}, ${titleOf(source.backend)} → ${titleOf(model.backend)}`,
    addressOf: ({ model }) => addressOf("models", { model: model.name }),
  },
  export: {
    title: "queue.export", list: "exports", canCancel: true,
    nameOf: ({ backend, format, ...model }) => `${versionOf(model)}, ${titleOf(backend)} → ${format}`,
    addressOf: ({ name }) => addressOf("models", { model: name }),
  },
  deletion: {
    title: "queue.deletion", list: "deletions",
    nameOf: ({ model }) => `${versionOf(model)}, ${titleOf(model.backend)}`,
    addressOf: ({ model }) => addressOf("models", { model: model.name }),
  },
};

/** Return the path of a job, such as `/v1/trainings/{id}`. */
export function pathOfJob(kind, id) {
  return `/v1/${KINDS[kind].list}/${id}`;
}
