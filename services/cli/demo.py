"""`tandem demo`: train a network in every backend, evaluate it, predict one image, and print one table."""

from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from .client import Client
from .responses import ComparisonJson, EvaluationJson, PredictionJson, TrainingJson
from .target import Target

# Settings with which `mlp` reaches a test accuracy of 95 % in every backend.
HYPERPARAMETERS: Mapping[str, Mapping[str, object]] = {
    "mnist": {"epochs": 5, "batch_size": 32, "optimizer": {"name": "sgd", "learning_rate": 0.1}},
    "digits": {"epochs": 30, "batch_size": 32, "optimizer": {"name": "sgd", "learning_rate": 0.2}},
}
IMAGES = {"mnist": Path("samples/seven.png"), "digits": Path("samples/seven-8x8.png")}  # in a checkout


@click.command()
@click.option("--server-stops", is_flag=True, hidden=True, help="The server stops after the demo: name no address.")
@click.pass_obj
def demo(target: Target, server_stops: bool) -> None:
    """Train, evaluate and predict with every backend, and show the results in one table."""
    run_demo(target.client, Console(highlight=False), is_server_kept=not server_stops)


def run_demo(client: Client, console: Console, is_server_kept: bool) -> None:
    """Train, evaluate and predict, which takes about a minute, and print the results.

    Args:
        client: a client of the server.
        console: where the results are printed.
        is_server_kept: the server runs on after the demo, so the address of its page is printed.

    Raises:
        ClientError: a step failed. The message says which one.
    """
    dataset = _choose_dataset(client, console)
    training: TrainingJson = client.post(
        "/v1/trainings", {"network": "mlp", "dataset": dataset, **HYPERPARAMETERS[dataset]}
    )
    console.print(
        f"Training [bold]mlp[/] on [bold]{dataset}[/] in {' and '.join(training['runs'])}, "
        f"with the same data, initial weights and batches",
        soft_wrap=True,
    )
    training = _follow_training(client, console, training)

    evaluation: EvaluationJson = client.post(
        "/v1/evaluations", {"model": training["name"], "version": training["version"]}
    )
    with console.status("Evaluating on the test split"):
        evaluation = client.follow(f"/v1/evaluations/{evaluation['id']}")
    image_name, image = read_image(client, dataset)
    prediction: PredictionJson = client.predict_pictures({"model": training["name"]}, [(image_name, image)])

    console.print(_create_table(training, evaluation, prediction, image_name))
    for comparison in evaluation["comparisons"]:
        console.print(
            f"{' and '.join(comparison['backends'])} predict the same class for {comparison['agreement']:.2%} of the "
            f"test images. Their probabilities differ by at most {comparison['max_probability_difference']:.1e}.",
            soft_wrap=True,
        )
    if any(run["overlapped"] for run in training["runs"].values()):
        console.print(
            "The backends trained at the same time on this machine. Do not quote these speeds: "
            "measure each backend alone.",
            soft_wrap=True,
        )
    if is_server_kept:
        address = f"{client.url}/train?id={training['id']}"
        console.print(f"\nOpen {address} in a browser to see this training on the page.", soft_wrap=True)


def _choose_dataset(client: Client, console: Console) -> str:
    """Return `mnist` if it is on this machine, else `digits`, which is part of Tandem."""
    ready = {entry["name"]: entry["ready"] for entry in client.get("/v1/datasets")["datasets"]}
    if ready["mnist"]:
        return "mnist"
    console.print("MNIST is not on this machine and could not be downloaded. Using digits instead.", soft_wrap=True)
    return "digits"


def read_image(client: Client, dataset: str) -> tuple[str, bytes]:
    """Return the name and the content of the image to predict.

    Outside a checkout of Tandem there are no samples. Then it is the dataset's first test picture.

    Raises:
        OSError: the file cannot be read.
        ClientError: the server refuses the picture.
    """
    if IMAGES[dataset].is_file():
        return IMAGES[dataset].name, IMAGES[dataset].read_bytes()
    with client.open("GET", f"/v1/datasets/{dataset}/pictures/test/0.png") as response:
        return "test picture 0", response.read()


def _follow_training(client: Client, console: Console, training: TrainingJson) -> TrainingJson:
    """Show a progress bar per backend until the training has ended, and return the ended training."""
    columns = (
        TextColumn("  {task.description:<12}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[figures]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        bars = {
            backend: progress.add_task(backend, total=run["epochs"], figures="")
            for backend, run in training["runs"].items()
        }

        def show(current: TrainingJson) -> None:
            for backend, run in current["runs"].items():
                last = run["history"][-1] if run["history"] else None
                figures = f"loss {last['loss']:.4f}  test accuracy {last['test_accuracy']:.2%}" if last else ""
                progress.update(bars[backend], completed=run["epoch"], figures=figures)

        ended: TrainingJson = client.follow(f"/v1/trainings/{training['id']}", show)
        return ended


def _create_table(
    training: TrainingJson, evaluation: EvaluationJson, prediction: PredictionJson, image_name: str
) -> Table:
    """Return a table with one column per backend, and one row per figure."""
    runs, results = training["runs"], evaluation["results"]
    predicted = prediction["images"][0]["results"]

    def describe_prediction(backend: str) -> str:
        if backend not in predicted:
            return "no answer"
        return f"{predicted[backend]['class']} ({predicted[backend]['probability']:.1%})"

    rows: list[tuple[str, Callable[[str], str]]] = [
        ("accuracy", lambda backend: f"{results[backend]['accuracy']:.2%}"),
        ("loss", lambda backend: f"{results[backend]['loss']:.5f}"),
        (
            "seconds per epoch (median)",
            lambda backend: f"{median(epoch['seconds'] for epoch in runs[backend]['history']):.2f}",
        ),
        ("examples per second", lambda backend: f"{runs[backend]['examples_per_second']:,.0f}"),
        ("threads", lambda backend: str(runs[backend]["threads"])),
        (f"prediction for {image_name}", describe_prediction),
        ("agreement with the others", lambda backend: _list_agreements(evaluation["comparisons"], backend)),
    ]
    table = Table(title=f"{training['name']} version {training['version']}, on the test split")
    table.add_column("")
    for backend in runs:
        table.add_column(backend, justify="right")
    for title, describe in rows:
        table.add_row(title, *map(describe, runs))
    return table


def _list_agreements(comparisons: list[ComparisonJson], backend: str) -> str:
    """Return a backend's agreement with each other backend, or `-` if it has none to compare with."""
    return ", ".join(f"{pair['agreement']:.2%}" for pair in comparisons if backend in pair["backends"]) or "-"
