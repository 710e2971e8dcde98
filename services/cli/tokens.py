"""What `tandem token` does: make, list and revoke access tokens."""

from collections.abc import Sequence
from urllib.parse import quote

import click
from rich.console import Console
from rich.table import Column, Table

from services.cli.client import Client
from services.cli.responses import CreatedTokenJson, TokenListJson


def create_token(client: Client, name: str, scopes: Sequence[str], days: int | None) -> None:
    """Make a token. Its text is printed alone to standard output, so that a script can store it.

    Raises:
        ClientError: the gateway refuses it.
    """
    created: CreatedTokenJson = client.post("/v1/tokens", {"name": name, "scopes": list(scopes), "days": days})
    click.echo(f"Token {created['id']} ({', '.join(created['scopes'])}). It is shown only now:", err=True)
    click.echo(created["token"])


def list_tokens(client: Client, console: Console) -> None:
    """Print a table of the tokens.

    Raises:
        ClientError: the gateway refuses it.
    """
    found: TokenListJson = client.get("/v1/tokens")
    table = Table(Column("ID", no_wrap=True), "name", "scopes", "created", "expires", "last used")
    for token in found["tokens"]:
        times = [_minute_of(token[key]) for key in ("created_at", "expires_at", "last_used_at")]
        table.add_row(token["id"], token["name"], ", ".join(token["scopes"]), *times)
    console.print(table)


def revoke_token(client: Client, identity: str) -> None:
    """Revoke a token.

    Raises:
        ClientError: the gateway refuses it.
    """
    client.delete(f"/v1/tokens/{quote(identity, safe='')}")
    click.echo(f"Token {identity} is revoked.")


def _minute_of(time: str | None) -> str:
    """Return an ISO 8601 time up to its minute; "-" if there is none."""
    return time[:16].replace("T", " ") if time else "-"
