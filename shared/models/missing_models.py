"""What an error message says of a model that does not exist, or that only some backends have."""

from collections.abc import Mapping, Sequence

from shared.models.cached_reads import holds

MAX_NAMED = 20  # names of models in an error message


def explain_missing(
    name: str, version: int | None, published: Mapping[str, Sequence[int]], existing: Sequence[str]
) -> str:
    """Return why a version cannot be used, and what to do.

    Args:
        name: of the model, as the client wrote it.
        version: the version that the client named; None if it named none.
        published: the versions that each requested backend has, oldest first.
        existing: the names of all models.
    """
    wanted = f"model {name[:80]!r}" + (f" version {version}" if version is not None else "")
    owners = [
        backend for backend, found in published.items() if (holds(found, version) if version is not None else found)
    ]
    missing = [backend for backend in published if backend not in owners]
    if owners and missing:
        return (
            f"{wanted} is not published by {' and '.join(missing)}: name only the backends that have it, "
            f"{' and '.join(owners)}, or train it"
        )
    return (
        f"{wanted} is not published by {' and '.join(published)}; ready: {list_ready(existing)}. "
        "Train one with POST /v1/trainings"
    )


def list_ready(existing: Sequence[str]) -> str:
    """Return the names of the models for an error message: the first ones, and how many more there are."""
    more = f" and {len(existing) - MAX_NAMED:,} more (GET /v1/models)" if len(existing) > MAX_NAMED else ""
    return ", ".join(existing[:MAX_NAMED]) + more or "none yet"
