"""Every fault and every attack, in the order in which they run."""

from tests.faults import (
    access,
    connections,
    containers,
    disk,
    gateway,
    models,
    pictures,
    predictors,
    redis_server,
    restarts,
    searches,
    trainers,
)
from tests.faults.experiment import Fault

FAULTS: list[Fault] = [
    *trainers.FAULTS,
    *models.FAULTS,
    *disk.FAULTS,
    *predictors.FAULTS,
    *gateway.FAULTS,
    *redis_server.FAULTS,
    *access.FAULTS,
    *pictures.FAULTS,
    *connections.FAULTS,
    *searches.FAULTS,
    *restarts.FAULTS,
    *containers.FAULTS,
]


def select_faults(names: list[str], is_short: bool) -> list[Fault]:
    """Return the faults with these names or sources, or the short selection, or all.

    Raises:
        ValueError: there is no such fault.
    """
    if not names:
        return [fault for fault in FAULTS if fault.is_short or not is_short]
    selected = [fault for fault in FAULTS if fault.name in names or fault.source in names]
    known = {fault.name for fault in selected} | {fault.source for fault in selected}
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"there is no fault {', '.join(unknown)}: --list shows all")
    return selected
