"""What is stored about an export besides its file. This module does no I/O."""

from shared.jobs.payloads import ResponseBody
from shared.jobs.results import ExportFile, ExportVerification


class ExportRecord(ResponseBody):
    """The content of an `export.json`.

    Attributes:
        digest: of the manifest of the exported model.
        writer: the id of the job that made the export.
    """

    format: str
    file: ExportFile
    verification: ExportVerification
    created_at: str
    digest: str
    writer: str
