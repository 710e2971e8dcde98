"""What a trainer's worker refuses to run. These tests need no Redis."""

from pathlib import Path

import pytest
from redis import Redis
from rq import Callback
from rq.webhook import Webhook

from shared.errors import UntrustedJobError
from shared.jobs.job_queue import FUNCTION
from shared.jobs.payloads import DeletionJob, JobPayload
from shared.jobs.rq_worker import TandemJob
from shared.jobs.worker import parse_payload

NOWHERE = Redis(host="127.0.0.1", port=1)  # it would fail at the first command


def job(function: str, *args: object, **options: object) -> TandemJob:
    return TandemJob.create(function, args=args, connection=NOWHERE, serializer="json", **options)


def test_a_job_that_names_another_function_is_refused_and_not_run(tmp_path: Path) -> None:
    with pytest.raises(UntrustedJobError, match=r"'os\.mkdir', which no worker runs"):
        job("os.mkdir", str(tmp_path / "made")).perform()
    assert not list(tmp_path.iterdir())


def test_a_job_that_names_our_function_calls_it() -> None:
    with pytest.raises(AssertionError, match="in a work horse of consume"):  # this process is none
        job(FUNCTION, "{}", "").perform()


def test_the_callbacks_of_a_job_are_not_imported() -> None:
    named = Callback("no.such.module.function")
    found = job(FUNCTION, on_success=named, on_failure=named, on_stopped=named)
    assert (found.success_callback, found.failure_callback, found.stopped_callback) == (None, None, None)


def test_the_webhooks_of_a_job_are_not_sent() -> None:
    class Sent(Webhook):
        def send(self, *args: object, **kwargs: object) -> None:
            pytest.fail("a webhook was sent")

    found = job(FUNCTION, webhooks=[Sent("http://127.0.0.1:1/", "finished")])
    assert found.webhooks, "the job carries the webhook that must not be sent"
    found.send_webhooks("finished")


def test_a_payload_is_parsed_into_the_class_of_its_kind() -> None:
    job = parse_payload(
        DeletionJob, '{"kind": "deletion", "id": "1", "backend": "toy", "name": "m", "model_version": 2}'
    )
    assert (job.kind, job.id, job.backend, job.name, job.model_version) == ("deletion", "1", "toy", "m", 2)


@pytest.mark.parametrize(
    ("payload", "problem"),
    [("not JSON", "Invalid JSON"), ("[]", "object"), ('{"name": "m"}', "model_version: Field required")],
    ids=["not JSON", "not an object", "a missing field"],
)
def test_a_payload_that_does_not_match_its_class_is_refused_with_the_reason(payload: str, problem: str) -> None:
    with pytest.raises(UntrustedJobError, match=f"does not match DeletionJob: .*{problem}"):
        parse_payload(DeletionJob, payload)


def test_every_payload_has_the_fields_that_the_worker_needs_to_find_its_run() -> None:
    job = parse_payload(JobPayload, '{"kind": "unknown", "id": "1", "backend": "toy", "more": 1}')
    assert (job.kind, job.id, job.backend) == ("unknown", "1", "toy")
