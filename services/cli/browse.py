"""`tandem open`: open Tandem's page in a browser."""

import click
from click.core import ParameterSource

from .target import Target, parse_url

VIEWS = ("train", "search", "draw", "compare", "load", "releases", "code", "models", "data", "queue")


@click.command("open")
@click.argument("view", required=False, type=click.Choice(VIEWS))
@click.option("--print", "only_print", is_flag=True, help="Print the address, and open nothing.")
@click.option(
    "--page-url", envvar="TANDEM_PAGE_URL", hidden=True, help="The page's address, if a browser needs another one."
)
@click.pass_obj
def open_page(target: Target, view: str | None, only_print: bool, page_url: str | None) -> None:
    """Open Tandem's page, or one VIEW of it, in a browser. The address is also printed."""
    if click.get_current_context().find_root().get_parameter_source("url") is ParameterSource.COMMANDLINE:
        page_url = None  # the setting belongs to the server that the environment names
    address = f"{parse_url(page_url) if page_url else target.url}/{view or ''}"
    click.echo(address)
    if only_print:
        return
    target.client.get("/v2/health/live")  # else the browser would show an error that does not say what to do
    import webbrowser

    if not webbrowser.open(address):
        click.echo("No browser could be opened. Open the address above yourself.", err=True)
