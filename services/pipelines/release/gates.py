"""The gates of a release, in their order. Each one is a module beside this one."""

from collections.abc import Callable
from typing import Any

from services.pipelines.release.accuracy import check_accuracy
from services.pipelines.release.data import check_data
from services.pipelines.release.exports import check_exports
from services.pipelines.release.golden import check_golden
from services.pipelines.release.latency import check_latency
from services.pipelines.release.outcome import GateOutcome
from services.pipelines.release.parity import check_parity
from services.pipelines.release.subject import Subject

# A gate takes the subject and its own limits: the field of `Gates` with its name.
GATES: tuple[tuple[str, Callable[[Subject, Any], GateOutcome]], ...] = (
    ("data", check_data),
    ("accuracy", check_accuracy),
    ("parity", check_parity),
    ("golden", check_golden),
    ("exports", check_exports),
    ("latency", check_latency),
)
