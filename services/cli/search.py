"""`tandem search`: search for good settings and networks in every backend, and publish the best."""

from pathlib import Path
from typing import Any

import click

from .completion import complete_dataset
from .files import save_download
from .grids import Grid
from .job_options import JobDisplay, backend_option, given, job_options, parse_json, read_network
from .output import join_words, number, percent, print_line
from .submissions import run_job
from .target import Target
from .trials import describe_settings


@click.command()
@click.option("--dataset", help="By default mnist.", shell_complete=complete_dataset)
@click.option("--space", help="What is varied: quick (the default), FILE.json, or `-` for the standard input.")
@click.option("--trials", type=int, help="By default 20.")
@click.option("--epochs", type=int, help="Of each trial; by default 5.")
@click.option("--sampler", type=click.Choice(["tpe", "random", "grid"]), help="By default tpe.")
@click.option("--pruner", type=click.Choice(["hyperband", "none"]), help="Ends poor trials; by default hyperband.")
@click.option("--seed", type=int, help="By default 0.")
@click.option("--validation", type=float, metavar="SHARE", help="Of the training split; by default 0.2.")
@click.option("--training", metavar="JSON", help='What all trials share, such as {"network": "cnn"}.')
@click.option("--name", help="The name of the winner's model; by default search-DATASET.")
@click.option("--report", type=click.Path(dir_okay=False, path_type=Path), help="Save the report as FILE.html.")
@backend_option
@job_options
@click.pass_obj
def search(
    target: Target,
    /,
    space: str | None,
    training: str | None,
    report: Path | None,
    backends: tuple[str, ...],
    display: JobDisplay,
    **settings: object,
) -> None:
    """Train many variants in every backend, publish the best one, and measure it on the test split.

    \b
    tandem search --dataset digits --trials 10 --report report.html
    tandem search --dataset digits --space my-space.json --sampler grid
    """
    body = given(
        space=None if space is None else read_network(space),
        training=training and parse_json(training, "--training"),
        backends=list(backends) or None,
        **settings,
    )

    def finish(document: Any) -> None:
        if report:
            save_download(target.client, f"/v1/searches/{document['id']}/report.html", report)

    run_job(target, "searches", body, display, show_search, finish=finish)


def show_search(document: Any) -> None:
    """Print the trials, whether the backends agree, and the winner."""
    backends = document["request"]["backends"]
    table = Grid(("trial", "status", "loss", *backends), ("trial", "loss", *backends))
    for trial in document["trials"]:
        is_best = trial["number"] == document["best"]
        found = [trial["backends"].get(backend, {}).get("validation_loss") for backend in backends]
        status = f"{trial['status']}, best" if is_best else trial["status"]
        figures = [number(value) for value in (trial["value"], *found)]
        table.add(trial["number"], status, *figures, style="bold" if is_best else "")
    table.print(f"Search {document['name']}: validation losses")
    if document["best"]:
        best = document["trials"][document["best"] - 1]
        print_line(f"Settings of trial {best['number']}: {describe_settings(best['parameters'])}.")
    for pair in document["agreement"]:
        print_line(describe_agreement(pair))
    winner = document["winner"]
    if winner:
        accuracies = [f"{backend} {percent(value)}" for backend, value in winner["test_accuracy"].items()]
        print_line(f"The winner is {winner['name']} version {winner['version']}.", bold=True)
        print_line(f"Right answers on the test split: {join_words(accuracies)}.")
        print_line(f"Next: tandem compare {winner['name']}   or   tandem release {winner['name']}", dim=True)


def describe_agreement(pair: Any) -> str:
    """Return whether two backends rank the trials alike, and whether the same trial wins in both."""
    names, winners = join_words(pair["backends"]), pair["winners"]
    first, second = pair["backends"]
    text = ""
    if pair["rank_correlation"] is not None:
        interval = f" ({number(pair['low'], '.2f')} to {number(pair['high'], '.2f')})"
        text = f"{names} rank the trials with a correlation of {pair['rank_correlation']:.2f}{interval}. "
    if pair["same_winner"]:
        return f"{text}Trial {winners[first]} is the best in both."
    return f"{text}Trial {winners[first]} is the best in {first}, trial {winners[second]} in {second}."
