"""The `tandem` command: it speaks HTTP to the gateway and nothing else."""

import sys

import click
from rich.console import Console

from services.cli import demo as the_demo
from services.cli.client import Client, ClientError


@click.group()
@click.option("--url", default="http://127.0.0.1:8080", show_default=True, help="The gateway's address.")
@click.pass_context
def main(context: click.Context, url: str) -> None:
    """One network, TensorFlow and PyTorch, side by side."""
    context.obj = Client(url)


@main.command()
@click.pass_obj
def demo(client: Client) -> None:
    """Train, evaluate and predict with every backend."""
    try:
        the_demo.run(client, Console(highlight=False))
    except ClientError as error:
        Console(stderr=True).print(f"[bold red]Error:[/] {error}")
        sys.exit(1)


if __name__ == "__main__":
    main(prog_name="tandem")
