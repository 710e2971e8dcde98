"""The kinds of work, and the classes of what Redis holds about each. This module does no I/O."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import BaseModel

from shared.jobs.loadtests import LoadComparison, LoadTestJob
from shared.jobs.payloads import (
    CertificateJob,
    DeletionJob,
    EvaluationJob,
    ExportJob,
    JobPayload,
    Status,
    TrainingJob,
    TransplantJob,
)
from shared.jobs.releases import ReleaseJob, ReleaseRun
from shared.jobs.results import (
    CertificateRun,
    Comparison,
    EvaluationResult,
    ExportRun,
    LoadTestRun,
    PairParity,
    RunState,
    TrainingRun,
    TransplantRun,
)
from shared.jobs.searches import BackendAgreement, SearchJob, SearchRun

JobT = TypeVar("JobT", bound=JobPayload)
RunT = TypeVar("RunT", bound=RunState)
PairT = TypeVar("PairT", bound=BaseModel)


@dataclass(frozen=True)
class Kind(Generic[JobT, RunT, PairT]):
    """A kind of work.

    Attributes:
        name: part of the Redis keys, and the `kind` of the jobs.
        job: the class of the job payload.
        run: the class of each backend's run.
        comparison: the class of the comparison of two backends, for kinds that compare.
        is_made_of_jobs: whether the work consists of other jobs, which its worker submits and waits for. Such work may
            take longer, and is started again as often as its worker dies, because it goes on where it was.
    """

    name: str
    job: type[JobT]
    run: type[RunT]
    comparison: type[PairT]
    is_made_of_jobs: bool = False


@dataclass(frozen=True)
class JobRecord(Generic[JobT, RunT, PairT]):
    """Submitted work and its current state, as `JobQueue.read` returns it.

    Attributes:
        job: what was submitted. Its `backend` and `request_id` are empty, because they belong to a single run.
        status: the status of the whole, derived from the runs.
        runs: backend -> its run.
        comparisons: one per pair of backends that has been compared, ordered by the pair's names.
    """

    job: JobT
    status: Status
    runs: dict[str, RunT]
    comparisons: list[PairT]


TRAINING = Kind("training", TrainingJob, TrainingRun, Comparison)
EVALUATION = Kind("evaluation", EvaluationJob, EvaluationResult, Comparison)
CERTIFICATE = Kind("certificate", CertificateJob, CertificateRun, PairParity)
TRANSPLANT = Kind("transplant", TransplantJob, TransplantRun, Comparison)
EXPORT = Kind("export", ExportJob, ExportRun, Comparison)
DELETION = Kind("deletion", DeletionJob, RunState, Comparison)
LOAD_TEST = Kind("loadtest", LoadTestJob, LoadTestRun, LoadComparison)
SEARCH = Kind("search", SearchJob, SearchRun, BackendAgreement, is_made_of_jobs=True)
RELEASE = Kind("release", ReleaseJob, ReleaseRun, Comparison, is_made_of_jobs=True)
