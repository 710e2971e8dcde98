"""`tandem status`: what runs, what waits and what is down."""

from typing import Any

import click

from .grids import Grid
from .output import print_json, print_line
from .target import Target


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the server's answer as JSON.")
@click.pass_obj
def status(target: Target, as_json: bool) -> None:
    """Show what runs, what waits and what is down."""
    found = target.client.get("/v1/status")
    if as_json:
        print_json(found)
        return
    table = Grid(("service", "predictor", "trainers", "waiting"), ("waiting",))
    for backend, state in found["backends"].items():
        table.add(backend, _describe_predictors(state), *_describe_queue(state))
    table.add("load tests", "", *_describe_queue(found["loadtest"]))
    table.add("searches and releases", "", *_describe_queue(found["pipelines"]))
    table.print(f"Tandem {found['version']} at {target.url}, Redis is {found['redis']}")
    for queue in (*found["backends"].values(), found["loadtest"], found["pipelines"]):
        for trainer in queue["trainers"]:
            if trainer["job"]:
                print_line(f"Running: {trainer['job']}")
    print_line(f"Models: {len(found['models'])}. Datasets: {', '.join(found['datasets'])}.")


def _describe_predictors(state: Any) -> str:
    """Return whether a backend's predictor answers; of several, how many do. Older gateways report only one."""
    states = [predictor["state"] for predictor in state.get("predictors", [])]
    return f"{states.count('up')} of {len(states)} up" if len(states) > 1 else str(state["predictor"])


def _describe_queue(queue: Any) -> tuple[str, str]:
    """Return the states of a queue's workers, and how many jobs wait."""
    states = [trainer["state"] for trainer in queue["trainers"]]
    described = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states)) or "none"
    return described, "unknown" if queue["queued"] is None else str(queue["queued"])
