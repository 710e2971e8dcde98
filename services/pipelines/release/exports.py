"""The gate `exports`: the version can be exported to each requested format, and each export is accepted."""

from services.pipelines.gateway_client import RefusedError
from services.pipelines.release.outcome import GateOutcome
from services.pipelines.release.subject import Subject

NO_SUCH_ROUTE, NOT_OF_THIS_BACKEND = 404, 422


def check_exports(subject: Subject, formats: list[str]) -> GateOutcome:
    """Export the candidate, from every backend that has the format.

    Args:
        subject: the candidate.
        formats: the names of the formats.

    Raises:
        RefusedError: the gateway refuses an export for another reason than the format.
    """
    outcome = GateOutcome(figures={"exports": []})
    for name in formats:
        refusals = [found for backend in subject.backends if (found := _export(subject, backend, name, outcome))]
        if len(refusals) == len(subject.backends):
            outcome.problems.append(f"no backend exports {name}: {refusals[0]}")
    outcome.remarks.append(f"every export was accepted: {', '.join(formats)}")
    return outcome


def _export(subject: Subject, backend: str, name: str, outcome: GateOutcome) -> str | None:
    """Export one model. Return why the backend does not have the format, or None if it has."""
    candidate = subject.candidate
    path = f"/v1/models/{candidate.name}/{backend}/{candidate.version}/exports"
    try:
        export = subject.jobs.finish(path, {"format": name}, f"export-{backend}-{name}", "/v1/exports")
    except RefusedError as error:
        if error.status in (NO_SUCH_ROUTE, NOT_OF_THIS_BACKEND):
            return str(error)
        raise
    figures = {"id": export["id"], "backend": backend, "format": name, "status": export["status"]}
    outcome.figures["exports"].append({**figures, "verification": export.get("verification")})
    if export["status"] != "succeeded":
        outcome.problems.append(f"the export of {backend} as {name} has {export['status']}: {export.get('error')}")
    return None
