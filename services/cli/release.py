"""`tandem release`: check a version with gates, make it `stable` if it passes them, or revert a release."""

from typing import Any

import click

from .completion import complete_model
from .grids import Grid
from .job_options import JobDisplay, backend_option, given, job_options, parse_json
from .jobs_api import quote_part
from .output import clean, print_json, print_line
from .submissions import run_job
from .target import Target

GATES = ("data", "accuracy", "parity", "golden", "exports", "latency")
LATENCY = {"rate": "rate", "latency_bound": "bound_ms", "duration": "duration_s"}  # option -> field of the gate


@click.command()
@click.argument("model", required=False, shell_complete=complete_model)
@click.option("--version", type=int, help="By default the newest that all backends have.")
@click.option("--train", metavar="JSON", help='Train first, instead of MODEL: such as {"dataset": "digits"}.')
@click.option("--gates", metavar="JSON", help='Other limits, such as {"accuracy": {"margin": 0.02}}.')
@click.option("--without", multiple=True, type=click.Choice(GATES), help="Leave a gate out; may be repeated.")
@click.option("--exports", "formats", metavar="FORMAT,...", help="Exports that must be accepted, such as onnx,html.")
@click.option("--rate", type=float, help="Requests per second of the latency gate; by default 20.")
@click.option("--latency-bound", type=float, help="Upper bound of its p99, in ms; by default 100.")
@click.option("--duration", type=float, help="Its seconds for each backend; by default 10.")
@click.option("--revert", metavar="ID", help="Move `stable` back to what it was before this release.")
@backend_option
@job_options
@click.pass_obj
def release(
    target: Target,
    /,
    model: str | None,
    train: str | None,
    gates: str | None,
    without: tuple[str, ...],
    formats: str | None,
    revert: str | None,
    backends: tuple[str, ...],
    display: JobDisplay,
    version: int | None,
    **latency: float | None,
) -> None:
    """Check a version of MODEL with gates, one after the other, and make it `stable` if it passes all of them.

    The exit status is 1 if a gate fails. Then `stable` stays where it is.

    \b
    tandem release article-mnist --exports onnx --rate 50
    tandem release --train '{"network": "mlp", "dataset": "digits"}' --without latency
    tandem release --revert ID
    """
    if sum(subject is not None for subject in (model, train, revert)) != 1:
        raise click.UsageError("name one of MODEL, --train and --revert")
    if revert is not None:
        _revert(target, revert.removeprefix("/v1/").removeprefix("releases/"), display)
        return
    body = given(
        model=model,
        version=version,
        train=train and parse_json(train, "--train"),
        backends=list(backends) or None,
        gates=_read_gates(gates, without, formats, latency) or None,
    )
    run_job(target, "releases", body, display, show_release)


def _read_gates(
    text: str | None, without: tuple[str, ...], formats: str | None, latency: dict[str, float | None]
) -> dict[str, Any]:
    """Return the gates of a request: those of the JSON, changed by the other options."""
    gates: Any = parse_json(text, "--gates") if text else {}
    if not isinstance(gates, dict):
        raise click.UsageError("--gates takes a JSON object")
    if formats:
        gates["exports"] = [name.strip() for name in formats.split(",")]
    limits = {LATENCY[option]: value for option, value in latency.items() if value is not None}
    if limits:
        given_latency = gates.get("latency") or {}
        if not isinstance(given_latency, dict):
            raise click.UsageError('--gates: "latency" takes an object, such as {"bound_ms": 50}')
        gates["latency"] = {**given_latency, **limits}
    return {**gates, **dict.fromkeys(without)}


def _revert(target: Target, identity: str, display: JobDisplay) -> None:
    """Revert a release, and say what `stable` is now."""
    document = target.client.post(f"/v1/releases/{quote_part(identity)}/revert", {})
    if display.is_json:
        print_json(document)
        return
    before = document["stable"]["before"]
    click.echo(f"{clean(document['name'])}: " + (f"stable is version {before} again." if before else "stable is gone."))


def show_release(document: Any) -> None:
    """Print a row for each gate, and what the release did to `stable`."""
    table = Grid(("gate", "status"))
    for gate in document["gates"]:
        table.add(gate["gate"], gate["status"])
    table.print(f"Release of {document['name']} version {document['version']}")
    for gate in document["gates"]:
        if gate["status"] in ("passed", "failed"):
            print_line(f"{gate['gate']}: {gate['summary']}")
    before, after = document["stable"]["before"], document["stable"]["after"]
    if document["reverted_at"]:
        print_line("The release was reverted.")
    elif after:
        print_line(f"stable is version {after}. Before: {before or 'none'}.", bold=True)
        print_line(f"Undo it: tandem release --revert {document['id']}", dim=True)
