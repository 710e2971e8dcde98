"""Every address of the API that answers GET, with ids and parameters of things that exist.

The OpenAPI document names the routes, so a new route is measured without a change here, unless it has a parameter that
this module does not know. Then `list_addresses` says so.
"""

import re
from typing import Any

from benchmarks.scale.originals import EXPORT_BACKEND, EXPORT_FORMAT, MODEL, Originals

PLACEHOLDER = re.compile(r"{(\w+)}")
DATASET = "digits"
# The rest of the OpenAPI document's paths has its parameters from here.
KIND_OF_PATH = {"searches": "search"}
LONGEST_PAGE = 200
RARE = "no-such-word"
STREAM = "/events"


def list_addresses(
    document: dict[str, Any], originals: Originals, ids: dict[str, list[str]], many: str
) -> dict[str, str]:
    """Return what is asked and its address, for every GET route and for several queries of the lists.

    Args:
        document: the OpenAPI document.
        originals: the jobs that were performed.
        ids: the ids of all records of each kind, oldest first.
        many: the name of a model with many versions.

    Raises:
        SystemExit: a route has a parameter without a value here.
    """
    addresses = {}
    for path, methods in document["paths"].items():
        if "get" not in methods or path.endswith(STREAM):
            continue
        addresses[path] = PLACEHOLDER.sub(lambda found: _value_of(found[1], path, originals), path)  # noqa: B023
        kind = _kind_of(path)
        parameters = {parameter["name"] for parameter in methods["get"].get("parameters", [])}
        if "before" in parameters:
            addresses[f"{path}?limit={LONGEST_PAGE}"] = f"{path}?limit={LONGEST_PAGE}"
            last = ids[kind][min(50, len(ids[kind]) - 1)]
            addresses[f"{path}, the last page"] = f"{path}?before={last}"
            addresses[f"{path}?search= of the oldest"] = f"{path}?search={ids[kind][0]}"
            addresses[f"{path}?search= in vain"] = f"{path}?search={RARE}"
        if path.startswith(("/v1/models/{name}", "/v2/models/{name}")) and path.count("{") == 1:
            addresses[f"{path} with many versions"] = path.replace("{name}", many)
    return addresses


def _kind_of(path: str) -> str:
    """Return the kind of job that a path such as `/v1/trainings/{id}` is about."""
    resource = path.split("/")[2] if path.count("/") > 1 else ""
    return KIND_OF_PATH.get(resource, resource.removesuffix("s"))


def _value_of(parameter: str, path: str, originals: Originals) -> str:
    values = {
        "name": DATASET if path.startswith("/v1/datasets") else MODEL,
        "backend": EXPORT_BACKEND,
        "version": str(originals.version),
        "format": EXPORT_FORMAT,
        "label": "stable",
        "split": "train",
        "index": "0",
        "id": originals.identities.get(_kind_of(path), ""),
    }
    if parameter not in values:
        raise SystemExit(f"benchmarks/scale/addresses.py has no value for {{{parameter}}} of {path}: add one")
    return values[parameter]
