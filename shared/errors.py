"""Every error that Tandem raises on purpose, and the HTTP status each becomes.

    TandemError                    500  something of ours is broken
    ├── InvalidRequestError        422  the request is understood and cannot be met
    │   ├── InvalidNetworkError    422  a layer does not fit, named with its shapes
    │   ├── InvalidDatasetError    422  one's own folder of pictures cannot be used
    │   └── InvalidImageError      422  a posted picture cannot be used
    ├── NotFoundError              404  no such training, model, version, dataset
    ├── ConflictError              409  the request contradicts what is already there
    │   ├── AlreadyPublishedError  409  a version is published once
    │   ├── SupersededError        409  another execution has taken a run over
    │   └── MissingDatasetError    409  a known dataset's files are not on this machine
    ├── UnavailableError           503  Redis or a backend does not answer; try again
    ├── CorruptModelError          500  a model on the volume fails its checksums
    └── UntrustedJobError          500  a queued job was not signed by this Tandem

Domain errors are raised where they are known; `shared/server.py` turns them
into RFC 9457 problem documents. This module does no I/O and knows nothing of HTTP but the status numbers.
"""


class TandemError(Exception):
    """Base of all deliberate errors; the message says what to change."""

    status = 500
    title = "Internal error"


class InvalidRequestError(TandemError):
    status = 422
    title = "Invalid request"


class InvalidNetworkError(InvalidRequestError):
    title = "Invalid network"


class InvalidDatasetError(InvalidRequestError):
    title = "Invalid dataset"


class InvalidImageError(InvalidRequestError):
    title = "Invalid image"


class NotFoundError(TandemError):
    status = 404
    title = "Not found"


class ConflictError(TandemError):
    status = 409
    title = "Conflict"


class AlreadyPublishedError(ConflictError):
    title = "Already published"


class SupersededError(ConflictError):
    title = "Superseded"


class MissingDatasetError(ConflictError):
    title = "Missing dataset"


class UnavailableError(TandemError):
    status = 503
    title = "Unavailable"


class CorruptModelError(TandemError):
    title = "Corrupt model"


class UntrustedJobError(TandemError):
    title = "Untrusted job"


def problem(status: int, title: str, detail: str) -> dict[str, object]:
    """An RFC 9457 problem document.

    `error` repeats the detail on one line, where clients of the Open Inference
    Protocol look for it.
    """
    slug = title.lower().replace(" ", "-")
    return {
        "type": f"urn:tandem:problem:{slug}",
        "title": title,
        "status": status,
        "detail": detail,
        "error": " ".join(detail.split()),
    }
