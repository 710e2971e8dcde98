"""`tandem prune`: delete all but the newest versions of each model, never the one that `stable` means."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

import click

from .completion import complete_model
from .grids import Grid
from .jobs_api import quote_part
from .models import STABLE, delete_version
from .output import print_line
from .target import Target

if TYPE_CHECKING:
    from .client import Client


class PrunedVersion(NamedTuple):
    """One version of a backend's model that is to be deleted."""

    name: str
    backend: str
    version: int


@click.command()
@click.argument("names", nargs=-1, metavar="[MODEL]...", shell_complete=complete_model)
@click.option("--keep", type=click.IntRange(1), required=True, help="How many versions of each model remain.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Only show what would be deleted.")
@click.pass_obj
def prune(target: Target, names: tuple[str, ...], keep: int, yes: bool, dry_run: bool) -> None:
    """Delete all but the newest versions of each MODEL, or of all models. The version `stable` always remains."""
    chosen = _choose_versions(target.client, names, keep)
    if not chosen:
        print_line("There is nothing to delete.")
        return
    table = Grid(("model", "backend", "version"), ("version",))
    for entry in chosen:
        table.add(*entry)
    table.print()
    if dry_run:
        print_line(f"{_count(chosen)} would be deleted.")
        return
    if not yes:
        click.confirm(f"Delete {_count(chosen)}?", abort=True)
    for entry in chosen:
        delete_version(target, *entry)
        print_line(f"Deleted {entry.name} {entry.backend} version {entry.version}.")


def choose_old_versions(versions: Mapping[str, Iterable[int]], keep: int, stable: int | None) -> list[tuple[str, int]]:
    """Return the backend and the number of each version that is to be deleted, oldest first.

    A version number belongs to one training, so the newest `keep` numbers of all backends together remain.

    Args:
        versions: the versions of each backend.
        keep: how many version numbers remain.
        stable: the version that remains in any case.
    """
    numbers = sorted({number for found in versions.values() for number in found})
    remaining = {*numbers[-keep:], stable}
    return [
        (backend, number)
        for number in numbers
        if number not in remaining
        for backend, found in versions.items()
        if number in found
    ]


def _choose_versions(client: "Client", names: tuple[str, ...], keep: int) -> list[PrunedVersion]:
    """Return what is to be deleted.

    Raises:
        ClientError: there is no such model.
    """
    chosen = []
    for name in names or [model["name"] for model in client.get("/v1/models")["models"]]:
        model = client.get(f"/v1/models/{quote_part(name)}")
        old = choose_old_versions(model["versions"], keep, model["aliases"].get(STABLE))
        chosen += [PrunedVersion(name, backend, version) for backend, version in old]
    return chosen


def _count(chosen: list[PrunedVersion]) -> str:
    return "1 version" if len(chosen) == 1 else f"{len(chosen)} versions"
