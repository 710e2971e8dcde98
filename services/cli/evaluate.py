"""`tandem evaluate`: measure a model on a split, and print every backend's figures."""

from typing import Any

import click

from .completion import complete_dataset, complete_model
from .grids import Grid
from .job_options import JobDisplay, backend_option, given, job_options
from .output import number, percent, print_line
from .submissions import run_job
from .target import Target


@click.command()
@click.argument("model", shell_complete=complete_model)
@click.option("--version", type=int, help="By default the newest that all backends have.")
@click.option("--dataset", help="By default the model's own.", shell_complete=complete_dataset)
@click.option("--split", type=click.Choice(["train", "test"]), help="By default test.")
@click.option("--classes", is_flag=True, help="Also show precision, recall and F1 of each class.")
@backend_option
@job_options
@click.pass_obj
def evaluate(
    target: Target,
    /,
    model: str,
    backends: tuple[str, ...],
    classes: bool,
    display: JobDisplay,
    **settings: object,
) -> None:
    """Measure MODEL on a split, in every backend."""

    def show(evaluation: Any) -> None:
        _show_evaluation(evaluation, shows_classes=classes)

    body = given(model=model, backends=list(backends) or None, **settings)
    run_job(target, "evaluations", body, display, show)


def _show_evaluation(evaluation: Any, shows_classes: bool) -> None:
    results = evaluation["results"]
    name, version = evaluation["model"], evaluation["version"]
    table = Grid(("backend", "accuracy", "loss"), ("accuracy", "loss"))
    for backend, result in results.items():
        table.add(backend, percent(result["accuracy"]), number(result["loss"], ".5f"))
    table.print(f"{name} version {version}, on {evaluation['dataset']}, split {evaluation['split']}")
    for backend, result in results.items() if shows_classes else ():
        figures = ("precision", "recall", "f1")
        by_class = Grid(("class", *figures), figures)
        for entry in result["per_class"]:
            by_class.add(entry["class"], *(percent(entry[figure], 1) for figure in figures))
        click.echo()
        by_class.print(backend)
    if len(results) > 1:
        print_line(f"Next: tandem compare {name} --version {version}", dim=True)
