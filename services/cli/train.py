"""`tandem train`: submit a training, show its epochs, and print the backends' figures."""

from statistics import median
from typing import Any

import click

from .completion import complete_dataset, complete_network
from .epoch_figures import choose_figures
from .grids import Grid
from .job_options import JobDisplay, backend_option, given, job_options, parse_json, read_network
from .output import join_words, number, percent, print_line
from .submissions import run_job
from .target import Target


@click.command()
@click.argument("network", default="article", shell_complete=complete_network)
@click.option("--dataset", help="By default mnist.", shell_complete=complete_dataset)
@click.option("--epochs", type=int, help="By default 10.")
@click.option("--batch-size", type=int, help="By default 64.")
@click.option("--optimizer", type=click.Choice(["sgd", "adam"]), help="By default sgd.")
@click.option("--learning-rate", type=float, help="By default 0.01 for sgd, 0.001 for adam.")
@click.option("--momentum", type=float, help="Of sgd; by default 0.")
@click.option("--weight-decay", type=float, help="By default 0.")
@click.option("--schedule", type=click.Choice(["constant", "cosine"]), help="Of the learning rate.")
@click.option("--precision", type=click.Choice(["float32", "float64"]), help="By default float32.")
@click.option("--augmentation", metavar="JSON", help='Such as {"shift": 2}; see docs/api.md.')
@click.option("--seed", type=int, help="By default 0.")
@click.option("--pairing", type=click.Choice(["shared", "native"]), help="shared: the same weights and batches.")
@click.option("--name", help="The model's name; by default NETWORK-DATASET.")
@click.option("--validation", type=float, metavar="SHARE", help="Keep this share of the training split, 0 to 0.5.")
@click.option("--no-publish", is_flag=True, help="Make no model, and do not read the test split.")
@backend_option
@job_options
@click.pass_obj
def train(
    target: Target,
    /,
    network: str,
    backends: tuple[str, ...],
    optimizer: str | None,
    learning_rate: float | None,
    momentum: float | None,
    weight_decay: float | None,
    augmentation: str | None,
    no_publish: bool,
    display: JobDisplay,
    **settings: object,
) -> None:
    """Train NETWORK in every backend: a preset's name, FILE.json, or `-` for the standard input.

    \b
    tandem train mlp --dataset digits --epochs 20
    tandem train my-network.json --backend pytorch
    """
    rates = given(learning_rate=learning_rate, momentum=momentum, weight_decay=weight_decay)
    body = given(
        network=read_network(network),
        backends=list(backends) or None,
        augmentation=augmentation and parse_json(augmentation, "--augmentation"),
        optimizer={"name": optimizer or "sgd", **rates} if optimizer or rates else None,
        publish=False if no_publish else None,
        **settings,
    )
    run_job(target, "trainings", body, display, show_training)


def show_training(training: Any) -> None:
    """Print a table with a row per backend, what the comparison says, and what to do next."""
    name, version = training["name"], training["version"]
    columns = ("backend", "accuracy", "loss", "epoch s", "images per s")
    table = Grid(columns, columns[1:])
    for backend, run in training["runs"].items():
        last = choose_figures(run["history"][-1])
        table.add(
            backend,
            percent(last.accuracy),
            number(last.loss),
            f"{median(epoch['seconds'] for epoch in run['history']):.2f}",
            number(run["examples_per_second"], ",.0f"),
        )
    table.print(f"{name}{f' version {version}' if version else ''}, on {last.place}")
    for pair in training["comparisons"]:
        names = join_words(pair["backends"])
        print_line(f"{names} give the same answer for {percent(pair['agreement'])} of {last.place}.")
    rounded = [backend for backend, run in training["runs"].items() if run.get("tf32")]
    if rounded:
        print_line(f"TF32 was on for {join_words(rounded)}: results are less exact.", dim=True)
    overlapped = [backend for backend, run in training["runs"].items() if run["overlapped"]]
    if overlapped:
        print_line("Several runs were at work at once. For speeds to quote, train each backend alone.", dim=True)
    if version:
        print_line(f"Next: tandem compare {name}   or   tandem predict --model {name} FILE.png", dim=True)
