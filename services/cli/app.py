"""The root of the `tandem` command: the options that all commands have, and the list of commands.

Nothing slow is imported here: click only. `tandem --help` reads the list below and imports no command.
"""

import sys
from io import TextIOWrapper
from pathlib import Path

import click

from . import __version__
from .lazy_group import LazyCommand, LazyGroup
from .target import DEFAULT_URL, Target, parse_url, read_token

COMMANDS = {
    "train": LazyCommand("train", "train", "Train a network in every backend."),
    "evaluate": LazyCommand("evaluate", "evaluate", "Measure a model on a split, in every backend."),
    "predict": LazyCommand("predict", "predict", "Ask every backend what pictures show."),
    "compare": LazyCommand("compare", "compare", "Compare the backends' models of one version."),
    "certificate": LazyCommand("certificate", "certificate", "Check that the backends compute the same steps."),
    "loadtest": LazyCommand("loadtest", "loadtest", "Send each backend the same requests, and compare."),
    "search": LazyCommand("search", "search", "Search for good settings, in every backend at once."),
    "release": LazyCommand("release", "release", "Check a version with gates, and make it `stable`."),
    "models": LazyCommand("models", "models", "List, show, download and delete models; move `stable`."),
    "export": LazyCommand("export", "export", "Save a model as a file that runs without Tandem."),
    "data": LazyCommand("datasets", "data", "List, upload and delete datasets; draw samples."),
    "jobs": LazyCommand("jobs", "jobs", "List the newest jobs."),
    "follow": LazyCommand("jobs", "follow", "Watch a job until it has ended."),
    "cancel": LazyCommand("jobs", "cancel", "Cancel a training, a load test, a search, a release or an export."),
    "prune": LazyCommand("prune", "prune", "Delete all but the newest versions of each model."),
    "status": LazyCommand("status", "status", "Show what runs, what waits and what is down."),
    "open": LazyCommand("browse", "open_page", "Open Tandem's page in a browser."),
    "token": LazyCommand("tokens", "tokens", "Make, list and revoke access tokens."),
    "api": LazyCommand("api", "api", "Send one request to any address of the API."),
    "completion": LazyCommand("completion", "completion", "Print the completion script of bash or zsh."),
    "demo": LazyCommand("demo", "demo", "Train, evaluate and predict, and show one table."),
}


@click.group(
    cls=LazyGroup,
    lazy=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit status: 0 done, 1 refused or failed, 2 wrong usage, 3 no server, 4 not allowed, 130 Ctrl+C.",
)
@click.option("--url", envvar="TANDEM_URL", default=DEFAULT_URL, show_default=True, help="The server; also TANDEM_URL.")
@click.option("--token", envvar="TANDEM_TOKEN", help="An access token; better TANDEM_TOKEN: others see arguments.")
@click.option(
    "--token-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file that contains the token.",
)
@click.option("--no-color", envvar="NO_COLOR", hidden=True, help="Any text: print no colours.")
@click.version_option(__version__, message="tandem %(version)s")
@click.pass_context
def main(context: click.Context, url: str, token: str | None, token_file: Path | None, no_color: str | None) -> None:
    """Train, evaluate and serve one network in TensorFlow and in PyTorch."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without UTF-8 shows "?" for what it cannot show
    if no_color:
        context.color = False
    context.obj = Target(parse_url(url), read_token(token, token_file))
