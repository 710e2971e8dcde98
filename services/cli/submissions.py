"""Submits a job, shows it until its end, and prints its result."""

from collections.abc import Callable, Mapping
from typing import Any

import click

from .job_options import JobDisplay
from .output import clean, print_json
from .progress import follow_job
from .target import Target


def run_job(
    target: Target,
    kind: str,
    request: Mapping[str, object],
    display: JobDisplay,
    show_result: Callable[[Any], None],
    finish: Callable[[Any], None] | None = None,
    path: str | None = None,
) -> None:
    """Submit a job, and do with it what the user's options say.

    Args:
        target: the server.
        kind: the first part of the job's path, such as `trainings`.
        request: the body of the submission.
        display: whether the command waits, and what it prints.
        show_result: prints the result of a job that succeeded.
        finish: is called with a job that succeeded, after its result was shown.
        path: where the job is submitted; by default `/v1/{kind}`.

    Raises:
        ClientError: the server refuses the request, or the job did not succeed.
    """
    submitted = target.client.post(path or f"/v1/{kind}", request)
    if display.is_detached:
        print_json(submitted) if display.is_json else click.echo(clean(submitted["id"]))
        return
    for warning in submitted.get("warnings", []):
        click.echo(f"Note: {clean(warning)}", err=True)
    job = finish_job(target, kind, submitted["id"], display, show_result)
    if finish:
        finish(job)


def finish_job(
    target: Target, kind: str, identity: str, display: JobDisplay, show_result: Callable[[Any], None]
) -> Any:
    """Show a job until its end, and then its result. Returns the job.

    Raises:
        ClientError: the job did not succeed.
    """
    from .client import check_success

    job = follow_job(target, kind, identity, display)
    if display.is_json:
        print_json(job)
    elif job["status"] == "succeeded":
        show_result(job)
    check_success(f"{kind}/{identity}", job)
    return job
