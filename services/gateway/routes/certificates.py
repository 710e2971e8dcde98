"""/v1/certificates: how far the backends' results differ, step by step, and a picture of it."""

from math import prod

from flask import Response, make_response
from flask_openapi3 import APIBlueprint, Tag

from services.gateway.context import Context
from services.gateway.reports.plots import certificate_png
from services.gateway.routes.batch_sizes import choose_batch_size
from services.gateway.routes.listings import ListingQuery
from services.gateway.routes.networks import fit_network
from services.gateway.routes.responses import json_response
from services.gateway.routes.submissions import IdempotencyHeader, Submission, WorkPath, accepted, file_of, submit_once
from services.gateway.schemas.certificates import Certificate, Certificates
from services.gateway.scopes import READ, TRAIN
from shared.data import datasets
from shared.errors import ConflictError, InvalidRequestError
from shared.jobs.kinds import CERTIFICATE
from shared.jobs.payloads import CertificateJob, CertificateRequest
from shared.jobs.results import CertificateRun
from shared.jobs.run_state import QUEUED, SUCCEEDED
from shared.network.description import Network

TAG = Tag(name="certificates", description="Parity: the same steps in every backend, in double precision")
MAX_NUMBERS = 20_000_000  # in a trace: 160 MB in double precision


def routes(context: Context) -> APIBlueprint:
    """Return the routes of this module."""
    api = APIBlueprint("certificates", __name__, abp_tags=[TAG])
    jobs = context.jobs

    def answer(identity: str) -> Response:
        return accepted(f"/v1/certificates/{identity}", Certificate.of(jobs.read(CERTIFICATE, identity)))

    @api.post("/v1/certificates", security=TRAIN, responses={202: Certificate})
    def submit(header: IdempotencyHeader, body: CertificateRequest) -> Response:
        """Take the same training steps in every backend, and compare outputs, gradients and weights."""
        return answer(submit_once(jobs, CERTIFICATE, header, (body,), lambda: _new_certificate(context, body)))

    @api.get("/v1/certificates", security=READ, responses={200: Certificates})
    def listing(query: ListingQuery) -> Response:
        """List the certificates, newest first."""
        page = jobs.list_page(CERTIFICATE, query.to_page())
        return json_response(
            Certificates(certificates=[Certificate.of(record) for record in page.records], next=page.next)
        )

    @api.get("/v1/certificates/<id>", security=READ, responses={200: Certificate})
    def read(path: WorkPath) -> Response:
        """Return a certificate: a verdict, the first layer that differs, and the differences at every step."""
        return json_response(Certificate.of(jobs.read(CERTIFICATE, path.id)))

    @api.get("/v1/certificates/<id>/plot.png", security=READ, responses=file_of("image/png", "a figure"))
    def plot(path: WorkPath) -> Response:
        """Draw the differences over the steps, on a logarithmic scale."""
        certificate = Certificate.of(jobs.read(CERTIFICATE, path.id))
        if certificate.status != SUCCEEDED:
            raise ConflictError(f"the certificate is {certificate.status}: there is a picture once it has succeeded")
        response = make_response(context.reports.find_or_draw("certificate", certificate, lambda: _draw(certificate)))
        response.headers["Content-Type"] = "image/png"
        return response

    return api


def _draw(certificate: Certificate) -> bytes:
    """Return the figure of the differences of each pair of backends, and of each backend and NumPy, as PNG."""
    pairs = {" and ".join(pair.backends): pair for pair in certificate.comparisons}
    references = {f"{backend} and NumPy": run.reference for backend, run in certificate.runs.items() if run.reference}
    return certificate_png(certificate.verdict, {**pairs, **references})


def _new_certificate(context: Context, body: CertificateRequest) -> Submission[CertificateJob]:
    """Check a request, and return what it submits.

    Raises:
        InvalidRequestError: the network or the batch size cannot be used, or there would be too many numbers.
        NotFoundError: there is no such dataset.
        MissingDatasetError: the dataset is not on this machine.
    """
    dataset = datasets.find(body.dataset, context.settings)
    network = fit_network(body.network, dataset)
    batch_size, remarks = choose_batch_size(body.batch_size, "batch_size" in body.model_fields_set, dataset)
    body = body.model_copy(update={"batch_size": batch_size})
    _check_size(body, network)
    context.require_data(dataset)
    if network.is_random:
        remarks.append("dropout was left out, because each framework draws its own masks")
    backends = context.settings.backends
    job = CertificateJob(
        request=body,
        network=network,
        data_version=dataset.version,
        asked=list(backends),
        notes=remarks,
    )
    return Submission(job, dict.fromkeys(backends, CertificateRun(status=QUEUED)))


def _check_size(body: CertificateRequest, network: Network) -> None:
    """Check that the trace is not too large.

    Raises:
        InvalidRequestError: it is.
    """
    outputs = sum(prod(shape) for shape in network.shapes[1:]) * body.batch_size
    numbers = 2 * network.parameter_count * body.steps + outputs
    if numbers > MAX_NUMBERS:
        raise InvalidRequestError(
            f"{body.steps} steps of {network.parameter_count:,} parameters in batches of {body.batch_size} are "
            f"{numbers:,} numbers to compare, more than {MAX_NUMBERS:,}: take fewer steps, or smaller batches"
        )
