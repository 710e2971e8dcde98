"""`tandem token`: make, list and revoke access tokens."""

import click

from .grids import Grid
from .jobs_api import quote_part
from .output import clean, minute_of, print_json, print_line
from .responses import CreatedTokenJson, TokenListJson
from .target import Target

SCOPES = ("read", "predict", "train", "admin")


@click.group("token")
def tokens() -> None:
    """Make, list and revoke access tokens. From the first one on, the gateway requires tokens."""


@tokens.command()
@click.option("--name", required=True, help="Whose token it is, or for what.")
@click.option("--scope", "scopes", required=True, multiple=True, type=click.Choice(SCOPES), help="May be repeated.")
@click.option("--days", type=click.IntRange(1), help="How long it counts; by default until it is revoked.")
@click.pass_obj
def create(target: Target, name: str, scopes: tuple[str, ...], days: int | None) -> None:
    """Make a token, and print it. It cannot be shown again. The first one needs the scope admin."""
    body = {"name": name, "scopes": list(scopes), "days": days}
    created: CreatedTokenJson = target.client.post("/v1/tokens", body)
    click.echo(f"Token {created['id']} ({', '.join(created['scopes'])}). It is shown only now:", err=True)
    click.echo(created["token"])  # alone on the standard output, so that a script can store it


@tokens.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print the server's list as JSON.")
@click.pass_obj
def list_tokens(target: Target, as_json: bool) -> None:
    """List the tokens with their scopes and the time of their last use."""
    found: TokenListJson = target.client.get("/v1/tokens")
    if as_json:
        print_json(found)
        return
    if not found["tokens"]:
        print_line("There are no tokens yet.")
        return
    table = Grid(("id", "name", "scopes", "created", "expires", "last used"))
    for token in found["tokens"]:
        times = [minute_of(token[key]) for key in ("created_at", "expires_at", "last_used_at")]
        table.add(token["id"], token["name"], ", ".join(token["scopes"]), *times)
    table.print()


@tokens.command()
@click.argument("identity", metavar="ID")
@click.pass_obj
def revoke(target: Target, identity: str) -> None:
    """Revoke the token with this ID. It counts no longer within a second."""
    target.client.delete(f"/v1/tokens/{quote_part(identity)}")
    click.echo(f"Token {clean(identity)} is revoked.")
