"""Response bodies of /v1/certificates."""

from typing import Annotated, Any

from pydantic import Field

from services.gateway.schemas.listings import JobListing
from shared.jobs.kinds import JobRecord
from shared.jobs.payloads import CertificateJob, ResponseBody, Status
from shared.jobs.results import VERDICTS, CertificateRun, PairParity, Parity, Verdict


class Certificate(ResponseBody):
    """A parity certificate: a verdict, and the differences of every pair of backends at every step."""

    id: str
    status: Status
    verdict: Annotated[Verdict | None, Field(description="the worst of all; null until the end")]
    request: dict[str, Any]
    created_at: str
    runs: dict[str, CertificateRun]
    comparisons: list[PairParity]
    notes: list[str]

    @classmethod
    def of(cls, record: JobRecord[CertificateJob, CertificateRun, PairParity]) -> "Certificate":
        """Return the body for a record."""
        job = record.job
        return cls(
            id=job.id,
            status=record.status,
            verdict=_worst_verdict(record) if record.status == "succeeded" else None,
            request=job.request.model_dump(mode="json"),
            created_at=job.created_at,
            runs=record.runs,
            comparisons=record.comparisons,
            notes=job.notes,
        )


class Certificates(JobListing):
    """A part of the list of certificates, newest first."""

    certificates: list[Certificate]


def _worst_verdict(record: JobRecord[CertificateJob, CertificateRun, PairParity]) -> Verdict | None:
    """Return the worst verdict of all pairs, and of all backends compared with NumPy."""
    compared: list[Parity] = [*record.comparisons, *(run.reference for run in record.runs.values() if run.reference)]
    return max((parity.verdict for parity in compared), key=VERDICTS.index, default=None)
