"""The `tandem` command. It uses only the gateway's HTTP API."""

import sys

import click
from rich.console import Console

from services.cli.client import Client, ClientError
from services.cli.demo import run_demo


@click.group()
@click.option("--url", default="http://127.0.0.1:8080", show_default=True, help="The URL of the gateway.")
@click.pass_context
def main(context: click.Context, url: str) -> None:
    """Train, evaluate and serve one network in TensorFlow and in PyTorch."""
    context.obj = Client(url)


@main.command()
@click.pass_obj
def demo(client: Client) -> None:
    """Train, evaluate and predict with every backend, and show the results in one table."""
    try:
        run_demo(client, Console(highlight=False))
    except ClientError as error:
        Console(stderr=True).print(f"[bold red]Error:[/] {error}")
        sys.exit(1)


if __name__ == "__main__":
    main(prog_name="tandem")
