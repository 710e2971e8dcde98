"""`tandem jobs`, `follow` and `cancel`: list the newest jobs, watch one until it has ended, cancel one."""

from typing import TYPE_CHECKING, Any

import click

from .errors import MissingError
from .grids import Grid
from .job_options import JobDisplay
from .jobs_api import CANCELLABLE, KINDS, quote_part
from .output import clean, join_words, minute_of, print_json, print_line
from .submissions import finish_job
from .target import Target

if TYPE_CHECKING:
    from .client import Client


@click.command()
@click.option("--kind", type=click.Choice(KINDS), default=KINDS[0], show_default=True)
@click.option("--limit", type=click.IntRange(1, 100), default=20, show_default=True, help="How many jobs.")
@click.option("--json", "as_json", is_flag=True, help="Print the server's list as JSON.")
@click.pass_obj
def jobs(target: Target, kind: str, limit: int, as_json: bool) -> None:
    """List the newest jobs of one kind, newest first."""
    listing = target.client.get(f"/v1/{kind}?limit={limit}")
    if as_json:
        print_json(listing)
        return
    if not listing[kind]:
        print_line(f"There are no {kind} yet.")
        return
    table = Grid(("id", "status", "submitted", "about"))
    for job in listing[kind]:
        table.add(job["id"], job["status"], minute_of(job["created_at"]), _describe(job))
    table.print()


@click.command()
@click.argument("job", metavar="ID|KIND/ID")
@click.option("--plain", is_flag=True, help="Lines instead of bars; the default without a terminal.")
@click.option("--json", "as_json", is_flag=True, help="Print only the final document, as JSON.")
@click.option("--events", is_flag=True, help="Print each state of the job, as one line of JSON.")
@click.pass_obj
def follow(target: Target, job: str, plain: bool, as_json: bool, events: bool) -> None:
    """Watch a job until it has ended. Its exit status is 1 if the job did not succeed."""
    kind, identity = find_job(target.client, job, KINDS)
    if events:
        from json import dumps

        from .client import check_success

        state: Any = None
        for state in target.client.watch(f"/v1/{kind}/{quote_part(identity)}"):
            click.echo(dumps(state))
        check_success(f"{kind}/{identity}", state)
        return
    finish_job(target, kind, identity, JobDisplay(plain, as_json), _show_end)


@click.command()
@click.argument("job", metavar="ID|KIND/ID")
@click.pass_obj
def cancel(target: Target, job: str) -> None:
    """Cancel a training, a load test, a search, a release or an export. Models that are published stay."""
    kind, identity = find_job(target.client, job, CANCELLABLE)
    if kind not in CANCELLABLE:
        raise click.UsageError(f"only {join_words(CANCELLABLE)} can be cancelled, and {clean(job)} is none of them")
    cancelled = target.client.post(f"/v1/{kind}/{quote_part(identity)}/cancel", {})
    click.echo(f"{kind}/{clean(identity)}: {clean(cancelled['status'])}.")


def find_job(client: "Client", text: str, kinds: tuple[str, ...]) -> tuple[str, str]:
    """Return the kind and the id of a job.

    Args:
        client: is asked which kind of job an id without a kind has.
        text: `ID`, `KIND/ID` or the job's path, such as `/v1/trainings/ID`.
        kinds: the kinds that are tried.

    Raises:
        click.UsageError: the text has another form, or an unknown kind.
        MissingError: no job of these kinds has the id.
        ClientError: the server does not answer, or refuses to.
    """
    *kind, identity = text.removeprefix("/v1/").strip("/").split("/")
    if not identity or len(kind) > 1 or (kind and kind[0] not in KINDS):
        raise click.UsageError(f"{clean(text)!r} is no job: name ID or KIND/ID, with a kind of {', '.join(KINDS)}")
    if kind:
        return kind[0], identity
    for name in kinds:
        try:
            client.get(f"/v1/{name}/{quote_part(identity)}")
        except MissingError:
            continue
        return name, identity
    raise MissingError(
        f"there is no job {identity} among {join_words(kinds)}. List them: tandem jobs --kind {kinds[0]}"
    )


def _describe(job: Any) -> str:
    """Return which model a job is about."""
    model = job.get("model")
    if isinstance(model, dict):
        return f"{model['name']} {model['backend']} version {model['version']}"
    name = job.get("name") or model
    if name:
        version = job.get("version")
        return f"{name} version {version}" if version else str(name)
    request = job.get("request", {})
    network = request.get("network")
    return f"{network if isinstance(network, str) else 'custom'}, {request.get('dataset', '')}"


def _show_end(job: Any) -> None:
    if "runs" in job and "name" in job:
        from .train import show_training

        show_training(job)
    elif "verdict" in job:
        from .certificate import show_certificate

        show_certificate(job)
    elif "largest_qps" in job:
        from .loadtest import show_load_test

        show_load_test(job)
    elif "trials" in job:
        from .search import show_search

        show_search(job)
    elif "gates" in job:
        from .release import show_release

        show_release(job)
    elif "verification" in job:
        from .export import show_exports

        show_exports([job])
    elif "proof" in job:
        from .models import show_transplant

        show_transplant(job)
    else:
        print_line(f"{job['status']}: {_describe(job)}")
