"""The demo: train every backend, evaluate, post a picture, and lay the figures side by side."""

from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from services.cli.client import Client

# A network and settings that reach 95 % on either dataset, in every backend.
RECIPES: dict[str, dict[str, Any]] = {
    "mnist": {"epochs": 5, "batch_size": 32, "optimizer": {"name": "sgd", "learning_rate": 0.1}},
    "digits": {"epochs": 30, "batch_size": 32, "optimizer": {"name": "sgd", "learning_rate": 0.2}},
}
PICTURES = {"mnist": Path("samples/seven.png"), "digits": Path("samples/seven-8x8.png")}


def run(client: Client, console: Console) -> None:
    """Show the whole of Tandem's main job in a minute.

    Raises:
        ClientError: a step failed; the message says which.
    """
    dataset = _choose_dataset(client, console)
    training = client.post("/v1/trainings", {"network": "mlp", "dataset": dataset, **RECIPES[dataset]})
    backends = list(training["runs"])
    console.print(
        f"Training [bold]mlp[/] on [bold]{dataset}[/] in {' and '.join(backends)}: "
        f"the same data, weights and batches for all",
        soft_wrap=True,
    )
    training = _follow_training(client, console, training)

    name, version = training["name"], training["version"]
    evaluation = client.post("/v1/evaluations", {"model": name, "version": version})
    with console.status("Evaluating on the test split"):
        evaluation = client.follow(f"/v1/evaluations/{evaluation['id']}")
    prediction = client.predict(name, PICTURES[dataset])

    console.print(_table(training, evaluation, prediction, PICTURES[dataset]))
    for comparison in evaluation["comparisons"]:
        console.print(
            f"{' and '.join(comparison['backends'])} agree on {comparison['agreement']:.2%} of the test pictures; "
            f"their probabilities differ by {comparison['max_probability_difference']:.1e} at most.",
            soft_wrap=True,
        )
    if any(run["overlapped"] for run in training["runs"].values()):
        console.print(
            "They trained at the same time on this machine: figures to quote come from runs alone.", soft_wrap=True
        )
    console.print(
        "\nWhere to go next:\n"
        "  make up                        Tandem in the foreground: the API at http://127.0.0.1:8080/docs\n"
        "  docker compose up --build      the same in containers\n"
        "  README.md                      train, predict and compare over HTTP",
        soft_wrap=True,
    )


def _choose_dataset(client: Client, console: Console) -> str:
    ready = {entry["name"]: entry["ready"] for entry in client.get("/v1/datasets")["datasets"]}
    if ready["mnist"]:
        return "mnist"
    console.print(
        "MNIST is not here and could not be downloaded within seconds: using the embedded digits.", soft_wrap=True
    )
    return "digits"


def _follow_training(client: Client, console: Console, training: Any) -> Any:
    """A bar per backend, moved by each finished epoch."""
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

        def show(work: Any) -> None:
            for backend, run in work["runs"].items():
                last = run["history"][-1] if run["history"] else None
                figures = f"loss {last['loss']:.4f}  test accuracy {last['test_accuracy']:.2%}" if last else ""
                progress.update(bars[backend], completed=run["epoch"], figures=figures)

        return client.follow(f"/v1/trainings/{training['id']}", show)


def _table(training: Any, evaluation: Any, prediction: Any, picture: Path) -> Table:
    backends = list(training["runs"])
    table = Table(title=f"{training['name']} version {training['version']}, on the test split")
    table.add_column("")
    for backend in backends:
        table.add_column(backend, justify="right")
    runs, results = training["runs"], evaluation["results"]
    answers = prediction["images"][0]["results"]
    table.add_row("accuracy", *(f"{results[b]['accuracy']:.2%}" for b in backends))
    table.add_row("loss", *(f"{results[b]['loss']:.5f}" for b in backends))
    table.add_row(
        "seconds per epoch (median)", *(f"{median(e['seconds'] for e in runs[b]['history']):.2f}" for b in backends)
    )
    table.add_row("examples per second", *(f"{runs[b]['examples_per_second']:,.0f}" for b in backends))
    table.add_row("threads", *(str(runs[b]["threads"]) for b in backends))
    table.add_row(
        f"prediction of {picture.name}",
        *(
            f"{answers[b]['class']} ({answers[b]['probability']:.1%})" if b in answers else "no answer"
            for b in backends
        ),
    )
    table.add_row("agreement with the others", *(_agreements(evaluation["comparisons"], b) for b in backends))
    return table


def _agreements(comparisons: Any, backend: str) -> str:
    return ", ".join(f"{pair['agreement']:.2%}" for pair in comparisons if backend in pair["backends"]) or "alone"
