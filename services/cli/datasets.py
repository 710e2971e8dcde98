"""`tandem data`: list, upload and delete datasets, and draw samples."""

import re
from pathlib import Path

import click

from .completion import complete_dataset
from .files import save_download
from .grids import Grid
from .jobs_api import quote_part
from .output import clean, print_json, print_line
from .target import Target

ZIP_TYPE = "application/zip"


@click.group(invoke_without_command=True)
@click.pass_context
def data(context: click.Context) -> None:
    """List, upload and delete datasets; draw samples."""
    if context.invoked_subcommand is None:
        context.invoke(list_datasets)


@data.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print the server's list as JSON.")
@click.pass_obj
def list_datasets(target: Target, as_json: bool = False) -> None:
    """List every dataset, and why one cannot be used."""
    listing = target.client.get("/v1/datasets")
    if as_json:
        print_json(listing)
        return
    columns = ("dataset", "ready", "size", "classes", "train", "test")
    table = Grid(columns, columns[2:])
    for entry in listing["datasets"]:
        sizes = (f"{entry['sizes'][split]:,}" if split in entry["sizes"] else "-" for split in ("train", "test"))
        shape = "x".join(map(str, entry["shape"])) or "-"
        table.add(entry["name"], "yes" if entry["ready"] else "no", shape, len(entry["classes"]), *sizes)
    table.print()
    for entry in listing["datasets"]:
        if entry["problem"]:
            print_line(f"{entry['name']}: {entry['problem']}")


@data.command()
@click.argument("source", metavar="FOLDER|FILE.zip", type=click.Path(exists=True, path_type=Path))
@click.option("--name", help="The dataset's name; by default that of the folder or file.")
@click.option("--json", "as_json", is_flag=True, help="Print the server's answer as JSON.")
@click.pass_obj
def upload(target: Target, source: Path, name: str | None, as_json: bool) -> None:
    """Upload labelled pictures: a folder, or a zip, of CLASS/* or train/CLASS/* and test/CLASS/*.

    A dataset of the same name that was uploaded before is replaced.
    """
    from .zipping import open_zip

    chosen = name or _name_of(source)
    with open_zip(source) as (file, size):
        click.echo(f"Uploading {clean(source)} as {clean(chosen)} ({size / 1e6:,.1f} MB).", err=True)
        entry = target.client.upload(f"/v1/datasets/{quote_part(chosen)}", file, size, ZIP_TYPE)
    if as_json:
        print_json(entry)
        return
    sizes = ", ".join(f"{count:,} pictures in {split}" for split, count in entry["sizes"].items())
    print_line(f"{chosen}: {len(entry['classes'])} classes, {sizes}.")
    for note in entry["notes"]:
        print_line(f"Note: {note}")
    print_line(f"Next: tandem train mlp --dataset {chosen}", dim=True)


@data.command()
@click.argument("name", shell_complete=complete_dataset)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def delete(target: Target, name: str, yes: bool) -> None:
    """Delete an uploaded dataset. Models that were trained on it remain."""
    if not yes:
        click.confirm(f"Delete the dataset {clean(name)}?", abort=True)
    target.client.delete(f"/v1/datasets/{quote_part(name)}")
    click.echo(f"Deleted {clean(name)}.")


@data.command()
@click.argument("name", shell_complete=complete_dataset)
@click.option("--output", "-o", required=True, type=click.Path(path_type=Path), help="FILE.png; `-`: standard output.")
@click.option("--count", type=click.IntRange(1, 100), default=20, show_default=True, help="How many pictures.")
@click.pass_obj
def samples(target: Target, name: str, output: Path, count: int) -> None:
    """Save a figure of the first training pictures with their labels."""
    save_download(target.client, f"/v1/datasets/{quote_part(name)}/samples.png?count={count}", output)


def _name_of(source: Path) -> str:
    """Return the name for the dataset of a folder or zip: letters and digits in lower case, `-` for all others."""
    resolved = source.resolve()
    stem = resolved.name if resolved.is_dir() else resolved.stem
    return re.sub("[^a-z0-9_]+", "-", stem.lower()).strip("-_") or "dataset"
