"""/v1/trainings: submit a training, watch its runs, cancel it."""

from flask import Response
from flask_openapi3 import APIBlueprint, Tag

from services.gateway.context import Context
from services.gateway.routes.batch_sizes import choose_batch_size
from services.gateway.routes.listings import TrainingListingQuery
from services.gateway.routes.networks import fit_network
from services.gateway.routes.responses import json_response
from services.gateway.routes.submissions import IdempotencyHeader, Submission, WorkPath, accepted, submit_once
from services.gateway.schemas.trainings import Training, Trainings
from services.gateway.scopes import READ, TRAIN
from shared import names
from shared.data import datasets
from shared.errors import InvalidRequestError
from shared.jobs.kinds import TRAINING
from shared.jobs.payloads import TrainingJob, TrainingRequest
from shared.jobs.results import TrainingRun
from shared.jobs.run_state import QUEUED
from shared.training.compare import notes

TAG = Tag(name="trainings", description="Train one network in every backend")


def routes(context: Context) -> APIBlueprint:
    """Return the routes of this module."""
    api = APIBlueprint("trainings", __name__, abp_tags=[TAG])
    jobs = context.jobs

    def answer(identity: str) -> Response:
        return accepted(f"/v1/trainings/{identity}", Training.of(jobs.read(TRAINING, identity)))

    @api.post("/v1/trainings", security=TRAIN, responses={202: Training})
    def submit(header: IdempotencyHeader, body: TrainingRequest) -> Response:
        """Submit a training: one network, one dataset, one run per backend."""
        return answer(submit_once(jobs, TRAINING, header, (body,), lambda: new_training(context, body)))

    @api.get("/v1/trainings", security=READ, responses={200: Trainings})
    def listing(query: TrainingListingQuery) -> Response:
        """List the trainings, newest first."""
        page = jobs.list_page(TRAINING, query.to_page())
        return json_response(Trainings(trainings=[Training.of(record) for record in page.records], next=page.next))

    @api.get("/v1/trainings/<id>", security=READ, responses={200: Training})
    def read(path: WorkPath) -> Response:
        """Return the state of a training, epoch by epoch."""
        return json_response(Training.of(jobs.read(TRAINING, path.id)))

    @api.post("/v1/trainings/<id>/cancel", security=TRAIN, responses={202: Training})
    def cancel(path: WorkPath) -> Response:
        """End every run that has not ended. Such a run publishes no model."""
        jobs.cancel(TRAINING, path.id)
        return answer(path.id)

    return api


def new_training(context: Context, body: TrainingRequest) -> Submission[TrainingJob]:
    """Check a request, and return what it submits. Nothing is submitted yet.

    Raises:
        InvalidRequestError: the backends, the network, the batch size, the augmentation or the name cannot be used.
        NotFoundError: there is no such dataset.
        MissingDatasetError: the dataset is not on this machine.
    """
    backends = context.choose_backends(body.backends)
    dataset = datasets.find(body.dataset, context.settings, body.data_version)
    network = fit_network(body.network, dataset)
    batch_size, warnings = choose_batch_size(body.batch_size, "batch_size" in body.model_fields_set, dataset)
    if body.augmentation:
        body.augmentation.check(dataset.shape, dataset.classes)
    name = body.name or f"{body.network if isinstance(body.network, str) else 'custom'}-{dataset.name}"
    if problem := names.problem_with_model_name(name, context.settings.backends):
        raise InvalidRequestError(problem if body.name else f"{problem}; give the training a `name`")
    context.require_data(dataset)
    if body.pairing == "shared" and len(backends) > 1:
        warnings += notes(network)
    job = TrainingJob(
        name=name,
        request=body.model_copy(update={"name": name, "backends": list(backends), "batch_size": batch_size}),
        network=network,
        data_version=dataset.version,
        warnings=warnings,
    )
    registry = context.registry
    published = [version for backend in registry.backends(name) for version in registry.versions(name, backend)]
    run = TrainingRun(status=QUEUED, epoch=0, epochs=body.epochs, history=[])
    return Submission(
        job, dict.fromkeys(backends, run), newest_published=max(published, default=0) if body.publish else None
    )
