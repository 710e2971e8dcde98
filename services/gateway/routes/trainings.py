"""/v1/trainings: submit a training, watch its runs, cancel it."""

from typing import Any

from flask import Response
from flask_openapi3 import APIBlueprint, Tag

from services.gateway.context import Context
from services.gateway.routes.networks import fitted
from services.gateway.routes.submissions import OnceHeader, Submission, WorkPath, accepted, submit_once
from services.gateway.schemas.trainings import Training, Trainings
from shared import names
from shared.data import datasets
from shared.errors import InvalidRequestError
from shared.jobs.payloads import TrainingRequest
from shared.training.compare import notes

TAG = Tag(name="trainings", description="Train one network in every backend")
RECENT = 50


def routes(context: Context) -> APIBlueprint:
    api = APIBlueprint("trainings", __name__, abp_tags=[TAG])
    jobs = context.jobs

    def answer(identity: str) -> Response:
        return accepted(f"/v1/trainings/{identity}", _training(jobs.read("training", identity)))

    @api.post("/v1/trainings", responses={202: Training})
    def submit(header: OnceHeader, body: TrainingRequest) -> Response:
        """Submit a training: one network, one dataset, one run per backend."""
        return answer(submit_once(jobs, "training", header, (body,), lambda: _new_training(context, body)))

    @api.get("/v1/trainings", responses={200: Trainings})
    def recent() -> dict[str, Any]:
        """The newest trainings, newest first."""
        return {"trainings": [_training(record) for record in jobs.recent("training", RECENT)]}

    @api.get("/v1/trainings/<id>", responses={200: Training})
    def read(path: WorkPath) -> dict[str, Any]:
        """How a training stands, epoch by epoch."""
        return _training(jobs.read("training", path.id))

    @api.post("/v1/trainings/<id>/cancel", responses={202: Training})
    def cancel(path: WorkPath) -> Response:
        """End every run that has not ended: no model of it appears."""
        jobs.cancel("training", path.id)
        return answer(path.id)

    return api


def _new_training(context: Context, body: TrainingRequest) -> Submission:
    """Check the request and make the submission."""
    backends = context.choose_backends(body.backends)
    found = datasets.find(body.dataset, context.settings)
    network = fitted(body.network, found)
    if body.batch_size > found.sizes["train"]:
        raise InvalidRequestError(f"batch_size {body.batch_size} is more than the {found.sizes['train']} examples")
    name = body.name or f"{body.network if isinstance(body.network, str) else 'custom'}-{found.name}"
    if problem := names.problem_with_model_name(name, context.settings.backends):
        raise InvalidRequestError(problem)
    context.require_data(found)
    record = {
        "name": name,
        "request": {**body.model_dump(mode="json"), "name": name, "backends": list(backends)},
        "network": network.model_dump(mode="json"),
        "warnings": notes(network) if body.pairing == "shared" and len(backends) > 1 else [],
    }
    published = max((v for backend in backends for v in context.registry.versions(name, backend)), default=0)
    runs = {backend: {"epochs": body.epochs} for backend in backends}
    return Submission(record, runs, published)


def _training(record: dict[str, Any]) -> dict[str, Any]:
    return Training.model_validate(record).model_dump(mode="json")
