"""/v1/evaluations: models of one version held against a split, and each other."""

from typing import Any

from flask import Response
from flask_openapi3 import APIBlueprint, Tag

from services.gateway.context import Context
from services.gateway.routes.submissions import OnceHeader, Submission, WorkPath, accepted, submit_once
from services.gateway.schemas.evaluations import Evaluation
from shared.data import datasets
from shared.data.datasets import Dataset
from shared.errors import ConflictError
from shared.jobs.payloads import EvaluationRequest
from shared.models.manifest import Manifest

TAG = Tag(name="evaluations", description="Hold models against a split, and against each other")


def routes(context: Context) -> APIBlueprint:
    api = APIBlueprint("evaluations", __name__, abp_tags=[TAG])
    jobs = context.jobs

    def answer(identity: str) -> Response:
        return accepted(f"/v1/evaluations/{identity}", _evaluation(jobs.read("evaluation", identity)))

    @api.post("/v1/evaluations", responses={202: Evaluation})
    def submit(header: OnceHeader, body: EvaluationRequest) -> Response:
        """Evaluate a model in every backend asked for, and compare each pair."""
        return answer(submit_once(jobs, "evaluation", header, (body,), lambda: _new_evaluation(context, body)))

    @api.get("/v1/evaluations/<id>", responses={200: Evaluation})
    def read(path: WorkPath) -> dict[str, Any]:
        """An evaluation: every backend's figures, and every pair's comparison."""
        return _evaluation(jobs.read("evaluation", path.id))

    return api


def _new_evaluation(context: Context, body: EvaluationRequest) -> Submission:
    """Check the request and make the submission."""
    backends = context.choose_backends(body.backends)
    version = context.addresses.resolve_version(body.model, backends, body.version)
    manifests = {backend: context.registry.manifest(body.model, backend, version) for backend in backends}
    _check_same_data(manifests)
    trained_on = next(iter(manifests.values()))
    found = datasets.find(body.dataset or trained_on.data.dataset, context.settings)
    _check_fits(found, trained_on)
    context.require_data(found)
    record = {
        "model": body.model,
        "version": version,
        "dataset": found.name,
        "split": body.split,
        "asked": list(backends),
    }
    return Submission(record, {backend: {} for backend in backends})


def _check_same_data(manifests: dict[str, Manifest]) -> None:
    """Figures of models that saw different data must not be laid side by side."""
    (first, reference), *others = manifests.items()
    for backend, manifest in others:
        if manifest.data != reference.data:
            raise ConflictError(f"{first} and {backend} were trained on different data: evaluate one backend at a time")


def _check_fits(found: Dataset, manifest: Manifest) -> None:
    if found.shape != manifest.network.input_shape or found.classes != manifest.classes:
        raise ConflictError(
            f"the model takes {list(manifest.network.input_shape)} and knows {len(manifest.classes)} classes; "
            f"{found.name} has {list(found.shape)} and {len(found.classes)}: choose the dataset it was trained on"
        )


def _evaluation(record: dict[str, Any]) -> dict[str, Any]:
    return Evaluation.model_validate({**record, "results": record["runs"]}).model_dump(mode="json", by_alias=True)
