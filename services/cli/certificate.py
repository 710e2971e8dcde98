"""`tandem certificate`: take the same training steps in every backend, and compare the numbers."""

from pathlib import Path
from typing import Any

import click

from .completion import complete_dataset, complete_network
from .files import save_download
from .grids import Grid
from .job_options import JobDisplay, given, job_options, read_network
from .output import join_words, print_line
from .submissions import run_job
from .target import Target

MEANINGS = {
    "identical": "All numbers are equal.",
    "rounding": "In double precision, no difference is larger than rounding explains.",
    "different": "Some difference is larger than rounding explains.",
}


@click.command()
@click.argument("network", default="article", shell_complete=complete_network)
@click.option("--dataset", help="By default mnist.", shell_complete=complete_dataset)
@click.option("--steps", type=int, help="By default 20.")
@click.option("--batch-size", type=int, help="By default 64.")
@click.option("--optimizer", type=click.Choice(["sgd", "adam"]), help="By default sgd.")
@click.option("--learning-rate", type=float, help="By default 0.01 for sgd, 0.001 for adam.")
@click.option("--seed", type=int, help="By default 0.")
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="Save the differences as FILE.png.")
@job_options
@click.pass_obj
def certificate(
    target: Target,
    /,
    network: str,
    optimizer: str | None,
    learning_rate: float | None,
    plot: Path | None,
    display: JobDisplay,
    **settings: object,
) -> None:
    """Check that every backend computes the same training steps of NETWORK, in double precision.

    NETWORK is a preset's name, FILE.json, or `-` for the standard input.
    """

    rates = given(learning_rate=learning_rate)
    chosen = {"name": optimizer or "sgd", **rates} if optimizer or rates else None
    body = given(network=read_network(network), optimizer=chosen, **settings)

    def finish(document: Any) -> None:
        if plot:
            save_download(target.client, f"/v1/certificates/{document['id']}/plot.png", plot)

    run_job(target, "certificates", body, display, show_certificate, finish=finish)


def show_certificate(document: Any) -> None:
    """Print the verdict, the largest differences, and where numbers first differ."""
    print_line(f"Verdict: {document['verdict']}. {MEANINGS.get(document['verdict'], '')}", bold=True)
    compared = {join_words(pair["backends"]): pair for pair in document["comparisons"]}
    compared |= {f"{backend} and NumPy": run["reference"] for backend, run in document["runs"].items()}
    columns = ("compared", "verdict", "float64", "float32")
    table = Grid(columns, columns[2:])
    for names, parity in compared.items():
        if parity:
            table.add(names, parity["verdict"], *(_largest(parity, precision) for precision in columns[2:]))
    table.print("Largest relative difference of any tensor")
    for names, parity in compared.items():
        first = parity and parity["first_difference"]
        if first and parity["verdict"] == "different":
            print_line(
                f"{names} first differ at step {first['step']}, {first['layer']}, {first['what']} "
                f"({first['precision']}): {first['difference']:.1e}.",
            )
    for note in document["notes"]:
        print_line(f"Note: {note}")


def _largest(parity: Any, precision: str) -> str:
    """Return the largest difference at any step in a precision."""
    found = [
        step[what]
        for step in parity["steps"].get(precision, [])
        for what in ("logits", "gradients", "weights")
        if step[what] is not None
    ]
    return f"{max(found):.1e}" if found else "-"
