"""`tandem compare`: evaluate the backends' models of one version, and say in plain words how they differ."""

from math import sqrt
from typing import TYPE_CHECKING, Any

import click

from .completion import complete_dataset, complete_model
from .errors import ClientError
from .grids import Grid
from .job_options import JobDisplay, backend_option, given, job_options
from .jobs_api import quote_part
from .output import join_words, number, percent, print_line
from .submissions import run_job
from .target import Target

if TYPE_CHECKING:
    from .client import Client

Z_95 = 1.959964  # the normal distribution's quantile for 95 % intervals
LEVEL = 0.05  # below this p-value, chance alone is an unlikely reason
SHOWN = 10  # disagreements


@click.command()
@click.argument("model", shell_complete=complete_model)
@click.option("--version", type=int, help="By default the newest that all backends have.")
@click.option("--dataset", help="By default the model's own.", shell_complete=complete_dataset)
@click.option("--split", type=click.Choice(["train", "test"]), help="By default test.")
@click.option(
    "--disagreements", type=click.IntRange(0, 100), default=SHOWN, show_default=True, help="How many to list."
)
@backend_option
@job_options
@click.pass_obj
def compare(
    target: Target,
    /,
    model: str,
    backends: tuple[str, ...],
    disagreements: int,
    display: JobDisplay,
    **settings: object,
) -> None:
    """Compare the backends' versions of MODEL: accuracy, McNemar's test, agreement and weights."""

    def show(evaluation: Any) -> None:
        drifts = _read_weight_drifts(target.client, evaluation["model"], evaluation["version"])
        _show_comparison(evaluation, drifts, disagreements)

    body = given(model=model, backends=list(backends) or None, **settings)
    run_job(target, "evaluations", body, display, show)


def accuracy_interval(correct: int, total: int) -> tuple[float, float]:
    """Return the 95 % interval of an accuracy, as fractions.

    Source: E. B. Wilson, Probable inference, the law of succession, and statistical inference, 1927.

    Args:
        correct: how many examples were classified correctly.
        total: how many examples there are; at least 1.
    """
    share, spread = correct / total, Z_95**2 / total
    middle = (share + spread / 2) / (1 + spread)
    half = Z_95 * sqrt(share * (1 - share) / total + spread / total / 4) / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)


def describe_mcnemar(only: dict[str, int], p_value: float) -> str:
    """Return the result of McNemar's test in plain words.

    Args:
        only: for each of two backends, how many examples only this backend classified correctly.
        p_value: of the exact test, two-sided.
    """
    if not any(only.values()):
        return "McNemar's test: both are right and wrong on the same pictures."
    counts = join_words([f"only {backend} is right on {count:,}" for backend, count in only.items()])
    if p_value < LEVEL:
        verdict = "Chance alone rarely gives such a difference"
    else:
        verdict = "Chance alone easily gives such a difference"
    p_text = f"p = {p_value:.2g}" if p_value >= 1e-4 else "p < 0.0001"
    return f"McNemar's test: {counts}. {verdict} ({p_text})."


def _read_weight_drifts(client: "Client", model: str, version: int) -> dict[frozenset[str], float]:
    """Return the largest difference of any weight for each pair of backends, as the training stored it.

    The result is empty if the training's record no longer exists, or its backends did not start from the same weights.
    """
    try:
        trainings = client.get(f"/v1/trainings?search={quote_part(model)}")["trainings"]
    except ClientError:
        return {}
    return {
        frozenset(pair["backends"]): pair["max_weight_difference"]
        for training in trainings
        if (training["name"], training["version"]) == (model, version)
        for pair in training["comparisons"]
        if pair["max_weight_difference"] is not None
    }


def _show_comparison(evaluation: Any, drifts: dict[frozenset[str], float], disagreements: int) -> None:
    columns = ("backend", "accuracy", "95% interval", "loss")
    table = Grid(columns, columns[1:])
    total = 0
    for backend, result in evaluation["results"].items():
        confusion = result["confusion"]
        total = sum(map(sum, confusion))
        low, high = accuracy_interval(sum(row[index] for index, row in enumerate(confusion)), total)
        interval = f"{low * 100:.2f}-{high * 100:.2f}"
        table.add(backend, percent(result["accuracy"]), interval, number(result["loss"], ".5f"))
    title = f"{evaluation['model']} version {evaluation['version']}, on {total:,} pictures of {evaluation['dataset']}"
    table.print(f"{title} ({evaluation['split']})")
    for pair in evaluation["comparisons"]:
        _show_pair(pair, drifts.get(frozenset(pair["backends"])), disagreements)
    if not evaluation["comparisons"]:
        print_line("One backend has nothing to be compared with: name none, or several.")


def _show_pair(pair: Any, drift: float | None, disagreements: int) -> None:
    names, difference = join_words(pair["backends"]), pair["accuracy_difference"]
    low, high = (f"{difference[end] * 100:+.2f}" for end in ("low", "high"))
    click.echo()
    print_line(names, bold=True)
    print_line(f"Same answer: {percent(pair['agreement'])} of the pictures.")
    print_line(
        f"Accuracy of {pair['backends'][0]} minus that of {pair['backends'][1]}: {difference['value'] * 100:+.2f} "
        f"points (95 % interval {low} to {high}).",
    )
    print_line(describe_mcnemar(pair["mcnemar"]["only"], pair["mcnemar"]["p_value"]))
    print_line(f"Largest difference of a probability: {pair['max_probability_difference']:.1e}.")
    if drift is not None:
        print_line(f"Largest difference of a weight after training: {drift:.1e}.")
    for note in pair["notes"]:
        print_line(f"Note: {note}")
    found = pair["disagreements"][:disagreements]
    if found:
        table = Grid(("picture", "label", *pair["backends"]), ("picture", "label", *pair["backends"]))
        for entry in found:
            table.add(entry["index"], entry["label"], *(entry[backend] for backend in pair["backends"]))
        click.echo()
        table.print(f"The first {len(found)} pictures with different answers")
