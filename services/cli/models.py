"""`tandem models`: list and show models, move the alias `stable`, download weights, transplant and delete."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from .completion import complete_backend, complete_model
from .files import save_download
from .grids import Grid
from .job_options import JobDisplay, job_options
from .jobs_api import quote_part
from .output import clean, number, percent, print_json, print_line
from .submissions import run_job
from .target import Target

STABLE = "stable"


@click.group(invoke_without_command=True)
@click.pass_context
def models(context: click.Context) -> None:
    """List, show, download and delete models; move the alias `stable`."""
    if context.invoked_subcommand is None:
        context.invoke(list_models)


@models.command("list")
@click.option("--search", metavar="TEXT", default="", help="Only models whose names contain TEXT.")
@click.option("--json", "as_json", is_flag=True, help="Print the server's list as JSON.")
@click.pass_obj
def list_models(target: Target, search: str = "", as_json: bool = False) -> None:
    """List every model with the versions of each backend."""
    listing = target.client.get("/v1/models")
    listing["models"] = [model for model in listing["models"] if search.lower() in model["name"]]
    if as_json:
        print_json(listing)
        return
    if not listing["models"]:
        print_line(f"No model's name contains {clean(search)}." if search else "There are no models yet: tandem train")
        return
    table = Grid(("model", "backend", "versions"))
    for model in listing["models"]:
        for index, (backend, versions) in enumerate(model["versions"].items()):
            table.add("" if index else model["name"], backend, describe_versions(versions))
    table.print()


@models.command()
@click.argument("name", shell_complete=complete_model)
@click.option("--json", "as_json", is_flag=True, help="Print the server's answer as JSON.")
@click.pass_obj
def show(target: Target, name: str, as_json: bool) -> None:
    """Show a model's versions, aliases, and its newest version in each backend."""
    model = target.client.get(f"/v1/models/{quote_part(name)}")
    if as_json:
        print_json(model)
        return
    columns = ("backend", "versions", "newest", "accuracy", "loss", "weights")
    table = Grid(columns, columns[2:])
    for backend, versions in model["versions"].items():
        manifest = model["manifests"][backend]
        metrics, size = manifest["metrics"], sum(file["size"] for file in manifest["files"].values())
        figures = (percent(metrics["test_accuracy"]), number(metrics["test_loss"]))
        table.add(backend, describe_versions(versions), versions[-1], *figures, f"{size / 1000:,.0f} kB")
    table.print(name)
    first: Any = next(iter(model["manifests"].values()))
    layers = ", ".join(layer["kind"] for layer in first["network"]["layers"])
    print_line(f"Trained on {first['data']['dataset']}, {len(first['classes'])} classes. Layers: {layers}.")
    for alias, version in model["aliases"].items():
        print_line(f"{alias} is version {version}.")
    if not model["ready"]:
        print_line("A backend of this model answers no predictions now: see tandem status.")


@models.command()
@click.argument("name", shell_complete=complete_model)
@click.argument("version", type=click.IntRange(1))
@click.pass_obj
def stable(target: Target, name: str, version: int) -> None:
    """Let the alias `stable` of a model mean a version. `tandem predict --version stable` uses it."""
    answer = target.client.put(f"/v1/models/{quote_part(name)}/aliases/{STABLE}", {"version": version})
    click.echo(f"{clean(answer['name'])}: {clean(answer['alias'])} is version {answer['version']}.")


@models.command()
@click.argument("name", shell_complete=complete_model)
@click.argument("backend", shell_complete=complete_backend)
@click.argument("version", type=click.IntRange(1))
@click.option("--output", "-o", type=click.Path(path_type=Path), help="By default NAME-BACKEND-VERSION.safetensors.")
@click.pass_obj
def download(target: Target, name: str, backend: str, version: int, output: Path | None) -> None:
    """Save a model's weights as a safetensors file. `-o -` writes to the standard output."""
    place = output or Path(f"{name}-{backend}-{version}.safetensors".replace("/", "_"))
    save_download(target.client, f"{_path_of(name, backend, version)}/weights.safetensors", place)


@models.command()
@click.argument("name", shell_complete=complete_model)
@click.argument("backend", shell_complete=complete_backend)
@click.argument("version", type=click.IntRange(1))
@click.option("--to", required=True, shell_complete=complete_backend, help="The backend that gets the same weights.")
@job_options
@click.pass_obj
def transplant(target: Target, /, name: str, backend: str, version: int, to: str, display: JobDisplay) -> None:
    """Publish one backend's weights as a model of another backend."""
    path = f"{_path_of(name, backend, version)}/transplant"
    run_job(target, "transplants", {"to": to}, display, show_transplant, path=path)


@models.command()
@click.argument("name", shell_complete=complete_model)
@click.argument("backend", shell_complete=complete_backend)
@click.argument("version", type=click.IntRange(1))
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print the finished deletion as JSON.")
@click.pass_obj
def delete(target: Target, name: str, backend: str, version: int, yes: bool, as_json: bool) -> None:
    """Delete one version of a backend's model."""
    described = clean(f"{name} {backend} version {version}")
    if not yes:
        click.confirm(f"Delete {described}?", abort=True)
    deletion = delete_version(target, name, backend, version)
    print_json(deletion) if as_json else click.echo(f"Deleted {described}.")


def delete_version(target: Target, name: str, backend: str, version: int) -> Any:
    """Delete one version of a backend's model, wait until it is deleted, and return the deletion.

    Raises:
        ClientError: it was not deleted.
    """
    deletion = target.client.delete(_path_of(name, backend, version))
    return target.client.follow(f"/v1/deletions/{deletion['id']}")


def describe_versions(versions: Iterable[int]) -> str:
    """Return sorted version numbers as text, with ranges: `1-3, 5`."""
    ranges: list[list[int]] = []
    for version in versions:
        if ranges and version == ranges[-1][1] + 1:
            ranges[-1][1] = version
        else:
            ranges.append([version, version])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)


def _path_of(name: str, backend: str, version: int) -> str:
    return f"/v1/models/{quote_part(name)}/{quote_part(backend)}/{version}"


def show_transplant(document: Any) -> None:
    """Print which model was published, and how its predictions compare with the source's."""
    model, proof = document["model"], document["proof"]
    print_line(f"Published {model['name']} {model['backend']} version {model['version']}.")
    if proof:
        print_line(
            f"The same answer for {proof['same_class']:,} of {proof['examples']:,} test pictures. "
            f"Probabilities differ by at most {proof['max_probability_difference']:.1e}.",
        )
