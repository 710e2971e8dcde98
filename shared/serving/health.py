"""What a predictor reports of its process at `GET /health`, and what `/v1/status` shows of it."""

from typing import Annotated

from pydantic import BaseModel, Field


class ProcessUse(BaseModel):
    """A predictor's process. Times and memory count since the process began."""

    versions: dict[str, str]
    threads: Annotated[int, Field(description="that compute one prediction")]
    device: Annotated[str, Field(description="the device that computes predictions: cpu or cuda")] = "cpu"
    pid: int
    machine: Annotated[str, Field(description="the same text means the same machine, since its last start")]
    cpu_seconds: float
    peak_memory_bytes: Annotated[int, Field(description="resident; the largest so far")]
