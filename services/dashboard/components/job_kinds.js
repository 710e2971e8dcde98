// The kinds of jobs, as the view Queue shows all of them: where each is read, what it is called, and where it is shown.

import { addressOf } from "../router.js";
import { t } from "../texts.js";
import { titleOf } from "./backends.js";

const KINDS = {
  training: {
    list: "trainings", canCancel: true,
    nameOf: ({ name, version }) => t("queue.model", { name, version }),
    addressOf: ({ id }) => addressOf("train", { id }),
  },
  evaluation: {
    list: "evaluations",
    nameOf: ({ model, version, dataset }) => `${t("queue.model", { name: model, version })}, ${dataset}`,
    addressOf: ({ model, version }) => addressOf("compare", { model, version }),
  },
  certificate: {
    list: "certificates",
    nameOf: ({ request: { network, dataset } }) => `${typeof network === "string" ? network : t("queue.own-network")}, ${dataset}`,
    addressOf: () => null, // it belongs to a network, not to a model that a view could show
  },
  loadtest: {
    list: "loadtests", canCancel: true,
    nameOf: ({ model, version }) => t("queue.model", { name: model, version }),
    addressOf: ({ id }) => addressOf("load", { id }),
  },
  transplant: {
    list: "transplants",
    nameOf: ({ source, model }) => t("queue.transplant", {
      name: t("queue.model", source), source: titleOf(source.backend), target: titleOf(model.backend),
    }),
    addressOf: ({ model }) => addressOf("models", { model: model.name }),
  },
  deletion: {
    list: "deletions",
    nameOf: ({ model }) => `${t("queue.model", model)}, ${titleOf(model.backend)}`,
    addressOf: ({ model }) => addressOf("models", { model: model.name }),
  },
};

/** The names of all kinds. */
export const KIND_NAMES = Object.keys(KINDS);

/** Return the name of the list of a kind: the last part of its path, and the member of the response that holds it. */
export function listOfKind(kind) {
  return KINDS[kind].list;
}

/** Return the path of a job, such as `/v1/trainings/{id}`. */
export function pathOfJob(kind, id) {
  return `/v1/${KINDS[kind].list}/${id}`;
}

/** Return whether jobs of a kind can be cancelled. */
export function canCancel(kind) {
  return KINDS[kind].canCancel === true;
}

/** Return what a job works on, in a few words, and the address of the view that shows it; null if there is none. */
export function describeJob(kind, job) {
  return { name: KINDS[kind].nameOf(job), address: KINDS[kind].addressOf(job) };
}
