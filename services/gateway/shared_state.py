"""What the gateway's processes share, if there are several: counters, gauges, and limits that hold for all together.

The parent process makes it before it forks, so this module imports nothing large. One process alone has none of it.
"""

from services.gateway.prediction.triton_statistics import MAX_COUNTED_MODELS, NUMBERS
from shared.web.metric_memory import MetricMemory
from shared.web.process_slots import ProcessSlots, SharedConnections
from shared.web.shared_figures import SharedAmounts, SharedRecords, SharedTimes, SharedUse


class SharedState:
    """The memory that the gateway's processes share.

    Args:
        processes: how many serve at the same time.

    Attributes:
        slots: of the processes.
        connections: how many each process has.
        waiting: images that wait, by model and backend.
        bodies: bytes of request bodies, by client and of all.
        pixels: of pictures that wait for decoding or are decoded, by client and of all.
        rates: when the rate limit of a client has recovered.
        statistics: counters for clients of Triton.
        metrics: for Prometheus.
    """

    def __init__(self, processes: int) -> None:
        self.slots = ProcessSlots(processes)
        self.connections = SharedConnections(self.slots)
        self.waiting = SharedAmounts(self.slots)
        self.bodies = SharedUse(self.slots)
        self.pixels = SharedUse(self.slots)
        self.rates = SharedTimes(self.slots)
        self.statistics = SharedRecords(self.slots, MAX_COUNTED_MODELS, NUMBERS)
        self.metrics = MetricMemory(self.slots)
