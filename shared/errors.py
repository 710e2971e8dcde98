"""Every error that Tandem raises on purpose, and the HTTP status of its response.

    TandemError                    500  base class: a fault of Tandem itself
    ├── InvalidRequestError        422  the request is well-formed but cannot be carried out
    │   ├── InvalidNetworkError    422  a layer does not fit; the message names it and the shapes
    │   ├── InvalidDatasetError    422  a user's folder of images cannot be used
    │   └── InvalidImageError      422  a posted image cannot be used
    ├── NotFoundError              404  there is no such training, model, version or dataset
    ├── ConflictError              409  the request contradicts the current state
    │   ├── AlreadyPublishedError  409  the version of a model exists and cannot be replaced
    │   ├── SupersededError        409  another execution of the same job took over the run
    │   └── MissingDatasetError    409  the files of a known dataset are not on this machine
    ├── UnavailableError           503  Redis or a backend does not answer; try again later
    ├── StorageFullError           507  the disk is full; nothing was stored
    ├── CorruptModelError          500  the files of a model do not match their checksums
    ├── RejectedExportError        500  an exported file does not compute what its model computes
    └── UntrustedJobError          500  a job in the queue has no valid signature

An error is raised where it is detected. `shared/web/problems.py` turns it into an RFC 9457 problem document. Its
message is shown to clients: it says what to change, and contains no path of the server. This module does no I/O.
"""

import errno


class TandemError(Exception):
    """Base class of all errors that Tandem raises on purpose.

    Attributes:
        status: the HTTP status of the response.
        title: the kind of error, as the problem document names it.
    """

    status = 500
    title = "Internal error"


class InvalidRequestError(TandemError):
    """The request is well-formed but cannot be carried out."""

    status = 422
    title = "Invalid request"


class InvalidNetworkError(InvalidRequestError):
    """The layers of a network do not fit each other, or do not fit the dataset."""

    title = "Invalid network"


class InvalidDatasetError(InvalidRequestError):
    """A user's folder of images is not laid out as required, or contains a damaged image."""

    title = "Invalid dataset"


class InvalidImageError(InvalidRequestError):
    """A posted image cannot be decoded, or cannot be converted to the model's input shape."""

    title = "Invalid image"


class NotFoundError(TandemError):
    """There is no such training, model or version."""

    status = 404
    title = "Not found"


class ConflictError(TandemError):
    """The request contradicts the current state."""

    status = 409
    title = "Conflict"


class AlreadyPublishedError(ConflictError):
    """Another job has published this version of the model."""

    title = "Already published"


class SupersededError(ConflictError):
    """Another execution took the run over, or the run was cancelled. This execution must stop writing to it."""

    title = "Superseded"


class MissingDatasetError(ConflictError):
    """The files of a known dataset are not on this machine."""

    title = "Missing dataset"


class UnavailableError(TandemError):
    """Redis or a backend does not answer. The client may try again later."""

    status = 503
    title = "Unavailable"


class StorageFullError(TandemError):
    """The disk has no room for what the client sent. Nothing of it was stored."""

    status = 507
    title = "Insufficient storage"


class CorruptModelError(TandemError):
    """The files of a published model do not match their checksums, or the model predicts other values than before."""

    title = "Corrupt model"


class RejectedExportError(TandemError):
    """An exported file does not compute what its model computes, so it is not given out."""

    title = "Rejected export"


class UntrustedJobError(TandemError):
    """A job in the queue has no valid signature, so it is not executed."""

    title = "Untrusted job"


def describe_error(error: BaseException) -> str:
    """Return an error's message for clients. If the operating system named a path in it, the path is left out."""
    if isinstance(error, OSError) and error.filename is not None:
        return str(error.strerror)
    return str(error)


def describe_storage_error(error: OSError, setting: str) -> TandemError:
    """Return the error for clients when a file that a client sent cannot be written.

    Args:
        setting: the environment variable that names the folder.
    """
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return StorageFullError(
            f"the server has no room left for the file ({error.strerror}), and nothing of it was stored: "
            f"delete what is not needed, or make room in {setting}"
        )
    return UnavailableError(f"the server cannot write the file ({error.strerror}): make {setting} writable")


def problem(status: int, title: str, detail: str) -> dict[str, object]:
    """Return an RFC 9457 problem document.

    Its member `error` repeats the detail on one line, because clients of the Open Inference Protocol read `error`.
    """
    slug = title.lower().replace(" ", "-")
    return {
        "type": f"urn:tandem:problem:{slug}",
        "title": title,
        "status": status,
        "detail": detail,
        "error": " ".join(detail.split()),
    }
