"""`tandem export`: write models as files that run without Tandem, and show how each file was verified."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from .completion import complete_model
from .errors import ClientError
from .files import save_download
from .grids import Grid
from .job_options import JobDisplay, backend_option, job_options
from .jobs_api import quote_part
from .output import clean, join_words, percent, print_json, print_line
from .progress import follow_job
from .target import Target

STANDARD_OUTPUT = "-"


@click.command()
@click.argument("model", shell_complete=complete_model)
@click.option("--format", "-f", "format_name", help="Such as onnx or html; see --list.")
@click.option("--version", type=click.IntRange(1), help="By default the newest that all these backends have.")
@click.option("--output", "-o", type=click.Path(path_type=Path), help="A file, a folder, or - for the output.")
@click.option("--list", "lists", is_flag=True, help="List the formats, and the files that exist.")
@backend_option
@job_options
@click.pass_obj
def export(
    target: Target,
    /,
    model: str,
    format_name: str | None,
    version: int | None,
    output: Path | None,
    lists: bool,
    backends: tuple[str, ...],
    display: JobDisplay,
) -> None:
    """Save MODEL as a file, from each backend that has the format. Each file is verified on the whole test split.

    \b
    tandem export welcome --format html
    tandem export welcome --format onnx --backend pytorch -o welcome.onnx
    tandem export welcome --list
    """
    if lists == (format_name is not None):
        raise click.UsageError("name a format with --format, or use --list")
    number, exports = _read_exports(target, model, version, backends)
    if lists:
        print_json({"version": number, "backends": exports}) if display.is_json else _show_formats(number, exports)
        return
    assert format_name is not None
    chosen = [name for name, body in exports.items() if backends or format_name in _names_of(body)]
    if not chosen:
        formats = "; ".join(f"{name}: {', '.join(_names_of(body))}" for name, body in exports.items())
        raise ClientError(f"no backend has the format {format_name}. {formats}")
    if output and not output.is_dir() and len(chosen) > 1:
        raise click.UsageError(f"-o names one file: choose one --backend of {' and '.join(map(clean, chosen))}")
    paths = {name: _path_of(model, name, number) for name in chosen}
    jobs = [target.client.post(path, {"format": format_name}) for path in paths.values()]
    if display.is_detached:
        print_json({"exports": jobs}) if display.is_json else click.echo("\n".join(clean(job["id"]) for job in jobs))
        return
    is_piped = str(output) == STANDARD_OUTPUT  # then only the file may be printed
    ended = [
        follow_job(target, "exports", job["id"], JobDisplay(is_json=True) if is_piped else display) for job in jobs
    ]
    for job in ended:
        if job["status"] == "succeeded":
            _save(target, job, paths[job["backend"]], output)
    if display.is_json and not is_piped:
        print_json({"exports": ended})
    elif not is_piped:
        show_exports(ended)
    failed = [f"{job['backend']}: {job['error'] or job['status']}" for job in ended if job["status"] != "succeeded"]
    if failed:
        raise ClientError("; ".join(failed))


def _save(target: Target, job: Any, path: str, output: Path | None) -> None:
    """Save the file of an export, by default under the server's name in the current folder."""
    name = job["file"]["name"].replace("/", "_")
    place = output / name if output and output.is_dir() else output or Path(name)
    save_download(target.client, f"{path}/{quote_part(job['format'])}", place)


def show_exports(exports: Sequence[Any]) -> None:
    """Print how the files of exports were verified: one row for each, also for those that were rejected."""
    verified = [job for job in exports if job["verification"]]
    if not verified:
        return
    columns = ("backend", "format", "size", "same class", "largest difference", "accuracy", "model's")
    table = Grid(columns, columns[2:])
    for job in verified:
        found, file = job["verification"], job["file"]
        difference = found["max_probability_difference"]
        table.add(
            job["backend"],
            job["format"],
            f"{file['size'] / 1000:,.0f} kB" if file else "rejected",
            f"{found['same_class']:,} of {found['examples']:,}",
            "-" if difference is None else f"{difference:.1e}",
            percent(found["accuracy"]["export"]),
            percent(found["accuracy"]["model"]),
        )
    runtimes = join_words(list(dict.fromkeys(job["verification"]["runtime"] for job in verified)))
    table.print()
    print_line(f"Verified on the test split of {verified[0]['verification']['dataset']}, with {runtimes}.")
    for job in verified:
        if test := job["verification"]["mcnemar"]:
            print_line(
                f"{job['format']} of {job['backend']}: {test['only']['model']} pictures are right in the model only, "
                f"{test['only']['export']} in the file only (McNemar's test: p = {test['p_value']:.2g}).",
            )


def _read_exports(target: Target, model: str, version: int | None, backends: tuple[str, ...]) -> tuple[int, Any]:
    """Return a version, and the exports of each backend that has it: backend -> the server's document.

    Raises:
        ClientError: there is no such model or version.
    """
    held = target.client.get(f"/v1/models/{quote_part(model)}")["versions"]
    unknown = [name for name in backends if name not in held]
    if unknown:
        raise ClientError(f"{unknown[0]} has no model {model}: choose one of {', '.join(held)}")
    chosen = backends or tuple(held)
    if version is None:
        shared = set.intersection(*(set(held[name]) for name in chosen))
        if not shared:
            raise ClientError(f"{' and '.join(chosen)} have no version of {model} in common: name a --version")
        version = max(shared)
    owners = [name for name in chosen if version in held[name] or backends]
    if not owners:
        raise ClientError(f"there is no version {version} of {model}")
    return version, {name: target.client.get(_path_of(model, name, version)) for name in owners}


def _show_formats(version: int, exports: Mapping[str, Any]) -> None:
    """Print the formats of each backend, and the size of each file that exists."""
    table = Grid(("backend", "format", "file", "what it is"), ("file",))
    for backend, body in exports.items():
        sizes = {each["format"]: each["file"]["size"] for each in body["exports"]}
        for each in body["formats"]:
            name = each["format"]
            table.add(backend, name, f"{sizes[name] / 1000:,.0f} kB" if name in sizes else "-", each["description"])
    table.print(f"Version {version}")


def _names_of(body: Any) -> list[str]:
    """Return the names of the formats in the server's document."""
    return [each["format"] for each in body["formats"]]


def _path_of(model: str, backend: str, version: int) -> str:
    return f"/v1/models/{quote_part(model)}/{quote_part(backend)}/{version}/exports"
