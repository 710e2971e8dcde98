"""/v1/evaluations: measure the models of one version on a split, and compare them with each other."""

from flask import Response
from flask_openapi3 import APIBlueprint, Tag

from services.gateway.context import Context
from services.gateway.routes.listings import ListingQuery
from services.gateway.routes.responses import json_response
from services.gateway.routes.submissions import IdempotencyHeader, Submission, WorkPath, accepted, submit_once
from services.gateway.schemas.evaluations import Evaluation, Evaluations
from services.gateway.scopes import READ, TRAIN
from shared.data import datasets
from shared.data.datasets import Dataset
from shared.errors import ConflictError
from shared.jobs.kinds import EVALUATION
from shared.jobs.payloads import EvaluationJob, EvaluationRequest
from shared.jobs.results import RunState
from shared.jobs.run_state import QUEUED
from shared.models.manifest import Manifest

TAG = Tag(name="evaluations", description="Measure models on a split, and compare them with each other")


def routes(context: Context) -> APIBlueprint:
    """Return the routes of this module."""
    api = APIBlueprint("evaluations", __name__, abp_tags=[TAG])
    jobs = context.jobs

    def answer(identity: str) -> Response:
        return accepted(f"/v1/evaluations/{identity}", Evaluation.of(jobs.read(EVALUATION, identity)))

    @api.post("/v1/evaluations", security=TRAIN, responses={202: Evaluation})
    def submit(header: IdempotencyHeader, body: EvaluationRequest) -> Response:
        """Evaluate a model in every requested backend, and compare each pair."""
        return answer(submit_once(jobs, EVALUATION, header, (body,), lambda: _new_evaluation(context, body)))

    @api.get("/v1/evaluations", security=READ, responses={200: Evaluations})
    def listing(query: ListingQuery) -> Response:
        """List the evaluations, newest first."""
        page = jobs.list_page(EVALUATION, query.to_page())
        return json_response(
            Evaluations(evaluations=[Evaluation.of(record) for record in page.records], next=page.next)
        )

    @api.get("/v1/evaluations/<id>", security=READ, responses={200: Evaluation})
    def read(path: WorkPath) -> Response:
        """Return an evaluation: every backend's figures, and every pair's comparison."""
        return json_response(Evaluation.of(jobs.read(EVALUATION, path.id)))

    return api


def _new_evaluation(context: Context, body: EvaluationRequest) -> Submission[EvaluationJob]:
    """Check a request, and return what it submits.

    Raises:
        InvalidRequestError: a backend is unknown.
        NotFoundError: there is no such model or dataset.
        ConflictError: the models do not fit each other or the dataset.
        MissingDatasetError: the dataset is not on this machine.
    """
    backends = context.choose_backends(body.backends)
    version = context.addresses.resolve_version(body.model, backends, body.version)
    manifests = {backend: context.registry.manifest(body.model, backend, version) for backend in backends}
    _check_same_data(manifests)
    trained_on = manifests[backends[0]]
    if body.dataset is None and body.data_version is None:
        dataset = context.find_training_data(trained_on.data.dataset)
    else:
        dataset = datasets.find(body.dataset or trained_on.data.dataset, context.settings, body.data_version)
    _check_fits(dataset, trained_on)
    context.require_data(dataset)
    job = EvaluationJob(
        model=body.model,
        version=version,
        dataset=dataset.name,
        data_version=dataset.version,
        split=body.split,
        asked=list(backends),
    )
    return Submission(job, dict.fromkeys(backends, RunState(status=QUEUED)))


def _check_same_data(manifests: dict[str, Manifest]) -> None:
    """Check that all models were trained on the same data, because figures of different data are not comparable.

    Raises:
        ConflictError: they were not.
    """
    (first, reference), *others = manifests.items()
    for backend, manifest in others:
        if manifest.data != reference.data:
            raise ConflictError(f"{first} and {backend} were trained on different data: evaluate one backend at a time")


def _check_fits(dataset: Dataset, manifest: Manifest) -> None:
    """Check that a dataset has the model's input shape and classes.

    Raises:
        ConflictError: it has not.
    """
    if dataset.shape != manifest.network.input_shape or dataset.classes != manifest.classes:
        raise ConflictError(
            f"the model takes {list(manifest.network.input_shape)} and knows {len(manifest.classes)} classes; "
            f"{dataset.name} has {list(dataset.shape)} and {len(dataset.classes)}: "
            "choose the dataset that the model was trained on"
        )
