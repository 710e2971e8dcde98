"""Response bodies of /v1/exports, and of the exports of a model."""

from typing import Annotated

from pydantic import Field

from services.gateway.schemas.listings import JobListing
from shared.exports.formats import FORMATS, list_formats
from shared.exports.records import ExportRecord
from shared.jobs.kinds import JobRecord
from shared.jobs.payloads import ExportJob, ResponseBody, Status
from shared.jobs.results import Comparison, ExportFile, ExportProgress, ExportRun, ExportVerification


class Export(ResponseBody):
    """The export of one version of a backend's model: its state, the file, and how the file was verified."""

    id: str
    status: Status
    name: str
    backend: str
    version: int
    format: str
    created_at: str
    error: str | None
    warnings: list[str]
    progress: Annotated[ExportProgress | None, Field(description="of the verification; null until the file is written")]
    file: Annotated[ExportFile | None, Field(description="there once it has succeeded")]
    verification: Annotated[ExportVerification | None, Field(description="also there if the file was rejected")]

    @classmethod
    def of(cls, record: JobRecord[ExportJob, ExportRun, Comparison]) -> "Export":
        """Return the body for a record."""
        job = record.job
        ((backend, run),) = record.runs.items()
        return cls(
            id=job.id,
            status=record.status,
            name=job.name,
            backend=backend,
            version=job.version,
            format=job.format,
            created_at=job.created_at,
            error=run.error,
            warnings=run.warnings,
            progress=run.progress,
            file=run.file,
            verification=run.verification,
        )


class Exports(JobListing):
    """A part of the list of exports, newest first."""

    exports: list[Export]


class ExportedFile(ResponseBody):
    """A file that a model was exported to."""

    format: str
    file: ExportFile
    verification: ExportVerification
    created_at: str

    @classmethod
    def of(cls, record: ExportRecord) -> "ExportedFile":
        """Return the body for a record of the model volume."""
        return cls(
            format=record.format, file=record.file, verification=record.verification, created_at=record.created_at
        )


class FormatDescription(ResponseBody):
    """A format that a backend's models can be exported to."""

    format: str
    description: str
    exact: Annotated[bool, Field(description="whether a file must predict the same as its model to be accepted")]


class ModelExports(ResponseBody):
    """The files that a model was exported to, and the formats that its backend has."""

    exports: list[ExportedFile]
    formats: list[FormatDescription]

    @classmethod
    def of(cls, backend: str, records: list[ExportRecord]) -> "ModelExports":
        """Return the body for the records of a model."""
        formats = [(name, FORMATS[name]) for name in list_formats(backend)]
        return cls(
            exports=[ExportedFile.of(record) for record in records],
            formats=[
                FormatDescription(format=name, description=each.description, exact=each.is_exact)
                for name, each in formats
            ],
        )
