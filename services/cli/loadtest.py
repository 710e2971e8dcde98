"""`tandem loadtest`: send every backend the same requests at the same times, and print the figures."""

from pathlib import Path
from typing import Any

import click

from .completion import complete_model
from .files import save_download
from .grids import Grid
from .job_options import JobDisplay, backend_option, given, job_options
from .output import number, print_line
from .submissions import run_job
from .target import Target

REPORT_TYPES = (".html", ".png", ".csv")
ABOVE_0 = click.FloatRange(0, min_open=True)


@click.command()
@click.argument("model", default="welcome", shell_complete=complete_model)
@click.option("--rate", "rates", type=ABOVE_0, multiple=True, help="Requests per second; may be repeated.")
@click.option("--search", is_flag=True, help="Find the largest rate within --latency-bound.")
@click.option("--scenario", type=click.Choice(["server", "single_stream", "offline"]), help="By default server.")
@click.option("--duration", type=ABOVE_0, help="Seconds of each backend at each rate; by default 60.")
@click.option("--latency-bound", type=ABOVE_0, help="Upper bound of the p99, in ms; by default 50.")
@click.option("--version", type=int, help="By default the newest that all backends have.")
@click.option("--seed", type=int, help="By default 0.")
@click.option(
    "--report",
    "reports",
    multiple=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="FILE.html, FILE.png or FILE.csv; may be repeated.",
)
@backend_option
@job_options
@click.pass_obj
def loadtest(
    target: Target,
    /,
    model: str,
    rates: tuple[float, ...],
    search: bool,
    duration: float | None,
    latency_bound: float | None,
    reports: tuple[Path, ...],
    backends: tuple[str, ...],
    display: JobDisplay,
    **settings: object,
) -> None:
    """Send every backend of MODEL the same requests at the same times.

    \b
    tandem loadtest welcome --rate 50 --rate 100 --duration 20 --report report.html
    tandem loadtest welcome --search
    """
    for report in reports:
        if report.suffix not in REPORT_TYPES:
            raise click.UsageError(f"--report takes a file ending in {', '.join(REPORT_TYPES)}")
    if search and rates:
        raise click.UsageError("choose --rate or --search")
    is_server = settings["scenario"] in (None, "server")
    if is_server and not rates and not search:
        raise click.UsageError("name a rate, such as --rate 50, or use --search")
    body = given(
        model=model,
        target_qps="search" if search else list(rates) or None,
        duration_s=duration,
        latency_bound_ms=latency_bound,
        backends=list(backends) or None,
        **settings,
    )

    def finish(load_test: Any) -> None:
        for report in reports:
            save_download(target.client, f"/v1/loadtests/{load_test['id']}/report{report.suffix}", report)

    run_job(target, "loadtests", body, display, show_load_test, finish=finish)


def show_load_test(load_test: Any) -> None:
    """Print the latencies of each backend at each rate, the claims, and whether they can be relied on."""
    columns = ("backend", "rate", "per s", "p50 ms", "p99 ms", "errors")
    table = Grid(columns, columns[1:])
    for backend, results in load_test["results"].items():
        for result in results:
            rate, answered = number(result["target_qps"], ".4g"), number(result["achieved_qps"], ".1f")
            latencies = (number(result[key], ".2f") for key in ("p50_ms", "p99_ms"))
            table.add(backend, rate, answered, *latencies, sum(result["errors"].values()))
    table.print(f"Load test of {load_test['model']} version {load_test['version']}")
    for backend, estimate in load_test["largest_qps"].items():
        interval = f" ({estimate['low']:.4g} to {estimate['high']:.4g})" if estimate["low"] is not None else ""
        print_line(f"{backend}: at most {estimate['value']:.4g} requests per second{interval}")
    for comparison in load_test["comparisons"]:
        print_line(comparison["claim"])
    predictors = load_test["conditions"].get("predictors", {})
    if len(set(predictors.values())) > 1:
        counts = ", ".join(f"{side} {count}" for side, count in predictors.items())
        print_line(f"The numbers of predictors differ: {counts}", bold=True)
    if load_test["valid"] is False:
        print_line(f"Do not rely on these figures: {load_test['invalid_reason']}", bold=True)
