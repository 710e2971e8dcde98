"""What a trainer's worker refuses to run, whatever a job in Redis says; Redis itself is never asked."""

from pathlib import Path

import pytest
from redis import Redis
from rq import Callback
from rq.webhook import Webhook

from shared.errors import UntrustedJobError
from shared.jobs.job_queue import FUNCTION
from shared.jobs.worker import TandemJob

NOWHERE = Redis(host="127.0.0.1", port=1)  # connects only when it is asked, and then fails


def job(function: str, *args: object, **options: object) -> TandemJob:
    return TandemJob.create(function, args=args, connection=NOWHERE, serializer="json", **options)


def test_a_job_that_names_another_function_is_refused_and_not_run(tmp_path: Path) -> None:
    with pytest.raises(UntrustedJobError, match=r"'os\.mkdir', which no worker runs"):
        job("os.mkdir", str(tmp_path / "made")).perform()
    assert not list(tmp_path.iterdir())


def test_a_job_that_names_our_function_reaches_it() -> None:
    with pytest.raises(AssertionError, match="in a work horse of consume"):  # which this process is not
        job(FUNCTION, "{}", "").perform()


def test_a_jobs_callbacks_are_not_even_imported() -> None:
    named = Callback("no.such.module.function")
    found = job(FUNCTION, on_success=named, on_failure=named, on_stopped=named)
    assert (found.success_callback, found.failure_callback, found.stopped_callback) == (None, None, None)


def test_a_jobs_webhooks_are_not_sent() -> None:
    class Sent(Webhook):
        def send(self, *args: object, **kwargs: object) -> None:
            pytest.fail("a webhook was sent")

    found = job(FUNCTION, webhooks=[Sent("http://127.0.0.1:1/", "finished")])
    assert found.webhooks, "the job carries the webhook that must not be sent"
    found.send_webhooks("finished")
