"""Response bodies of /v1/certificates."""

from typing import Annotated, Any

from pydantic import Field

from shared.jobs.payloads import PairParity, Parity, ResponseBody, Status, Verdict


class CertificateRun(ResponseBody):
    status: Status
    precision: str | None = None
    step: Annotated[int, Field(description="the last one taken in this precision")] = 0
    reference: Annotated[Parity | None, Field(description="its forward pass against NumPy's")] = None
    error: str | None = None


class Certificate(ResponseBody):
    id: str
    status: Status
    verdict: Annotated[Verdict | None, Field(description="the worst of all; null until the end")]
    request: dict[str, Any]
    created_at: str
    runs: dict[str, CertificateRun]
    comparisons: list[PairParity]
    notes: list[str]
