"""/v1/certificates: how far apart the backends come, step by step, with a picture."""

from math import prod
from typing import Any

from flask import Response, make_response
from flask_openapi3 import APIBlueprint, Tag

from services.gateway.context import Context
from services.gateway.reports.plots import certificate_png
from services.gateway.routes.networks import fitted
from services.gateway.routes.submissions import OnceHeader, Submission, WorkPath, accepted, file_of, submit_once
from services.gateway.schemas.certificates import Certificate
from shared.data import datasets
from shared.errors import ConflictError, InvalidRequestError
from shared.jobs.payloads import CertificateRequest
from shared.jobs.run_state import SUCCEEDED
from shared.network.description import Network
from shared.training.certify import VERDICTS

TAG = Tag(name="certificates", description="Parity: the same steps in every backend, in double precision")
MAX_NUMBERS = 20_000_000  # that a trace may hold: 160 MB in double precision


def routes(context: Context) -> APIBlueprint:
    api = APIBlueprint("certificates", __name__, abp_tags=[TAG])
    jobs = context.jobs

    def answer(identity: str) -> Response:
        return accepted(f"/v1/certificates/{identity}", _certificate(jobs.read("certificate", identity)))

    @api.post("/v1/certificates", responses={202: Certificate})
    def submit(header: OnceHeader, body: CertificateRequest) -> Response:
        """Take the same training steps in every backend, and compare outputs, gradients and weights."""
        return answer(submit_once(jobs, "certificate", header, (body,), lambda: _new_certificate(context, body)))

    @api.get("/v1/certificates/<id>", responses={200: Certificate})
    def read(path: WorkPath) -> dict[str, Any]:
        """A certificate: a verdict, the first layer that differs, and every step's differences."""
        return _certificate(jobs.read("certificate", path.id))

    @api.get("/v1/certificates/<id>/plot.png", responses=file_of("image/png", "a figure"))
    def plot(path: WorkPath) -> Response:
        """Differences over steps, on a logarithmic scale."""
        certificate = _certificate(jobs.read("certificate", path.id))
        if certificate["status"] != SUCCEEDED:
            raise ConflictError(f"the certificate is {certificate['status']}: there is a picture once it has succeeded")
        response = make_response(certificate_png(certificate))
        response.headers["Content-Type"] = "image/png"
        return response

    return api


def _new_certificate(context: Context, body: CertificateRequest) -> Submission:
    """Check the request and make the submission."""
    found = datasets.find(body.dataset, context.settings)
    network = fitted(body.network, found)
    _check_size(body, network, found.sizes["train"])
    context.require_data(found)
    record = {
        "request": body.model_dump(mode="json"),
        "network": network.model_dump(mode="json"),
        "asked": list(context.settings.backends),
        "notes": ["dropout was left out: its masks are each framework's own"] if network.is_random else [],
    }
    return Submission(record, {backend: {} for backend in context.settings.backends})


def _check_size(body: CertificateRequest, network: Network, examples: int) -> None:
    if body.batch_size > examples:
        raise InvalidRequestError(f"batch_size {body.batch_size} is more than the {examples} examples")
    outputs = sum(prod(shape) for shape in network.shapes[1:]) * body.batch_size
    numbers = 2 * network.parameter_count * body.steps + outputs
    if numbers > MAX_NUMBERS:
        raise InvalidRequestError(
            f"{body.steps} steps of {network.parameter_count:,} parameters in batches of {body.batch_size} are "
            f"{numbers:,} numbers to compare, more than {MAX_NUMBERS:,}: take fewer steps, or smaller batches"
        )


def _certificate(record: dict[str, Any]) -> dict[str, Any]:
    """The verdict is the worst of all: of every pair, and of every backend against NumPy."""
    compared = [*record["comparisons"], *(run["reference"] for run in record["runs"].values() if "reference" in run)]
    ended = record["status"] == SUCCEEDED
    verdict = max((part["verdict"] for part in compared), key=VERDICTS.index, default=None) if ended else None
    return Certificate.model_validate({**record, "verdict": verdict}).model_dump(mode="json")
