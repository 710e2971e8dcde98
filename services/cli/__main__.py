"""The `tandem` command. It uses only the gateway's HTTP API."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click
from rich.console import Console
from rich.markup import escape

from services.cli.client import Client, ClientError
from services.cli.demo import run_demo
from services.cli.tokens import create_token, list_tokens, revoke_token

SCOPES = ("read", "predict", "train", "admin")


@click.group()
@click.option("--url", default="http://127.0.0.1:8080", show_default=True, help="The URL of the gateway.")
@click.option("--token", envvar="TANDEM_TOKEN", help="An access token; by default the variable TANDEM_TOKEN.")
@click.pass_context
def main(context: click.Context, url: str, token: str | None) -> None:
    """Train, evaluate and serve one network in TensorFlow and in PyTorch."""
    context.obj = Client(url, token)


@main.command()
@click.option("--server-stops", is_flag=True, hidden=True, help="The server stops after the demo: name no address.")
@click.pass_obj
def demo(client: Client, server_stops: bool) -> None:
    """Train, evaluate and predict with every backend, and show the results in one table."""
    with _exit_on_error():
        run_demo(client, Console(highlight=False), is_server_kept=not server_stops)


@main.group("token")
def tokens() -> None:
    """Make, list and revoke access tokens. From the first one on, the gateway requires tokens."""


@tokens.command()
@click.option("--name", required=True, help="Whose token it is, or for what.")
@click.option("--scope", "scopes", required=True, multiple=True, type=click.Choice(SCOPES), help="May be repeated.")
@click.option("--days", type=click.IntRange(1), help="How long it counts; by default until it is revoked.")
@click.pass_obj
def create(client: Client, name: str, scopes: tuple[str, ...], days: int | None) -> None:
    """Make a token, and print it. It cannot be shown again. The first one needs the scope admin."""
    with _exit_on_error():
        create_token(client, name, scopes, days)


@tokens.command("list")
@click.pass_obj
def listing(client: Client) -> None:
    """List the tokens with their scopes and the time of their last use."""
    with _exit_on_error():
        list_tokens(client, Console(highlight=False))


@tokens.command()
@click.argument("identity", metavar="ID")
@click.pass_obj
def revoke(client: Client, identity: str) -> None:
    """Revoke the token with this ID. It counts no longer within a second."""
    with _exit_on_error():
        revoke_token(client, identity)


@contextmanager
def _exit_on_error() -> Iterator[None]:
    """End the process with status 1 and one line if the gateway refuses a request."""
    try:
        yield
    except ClientError as error:
        Console(stderr=True, highlight=False).print(f"[bold red]Error:[/] {escape(str(error))}", soft_wrap=True)
        sys.exit(1)


if __name__ == "__main__":
    main(prog_name="tandem")
