"""One predictor of a backend: its connections, its load, and whether it answers."""

from dataclasses import dataclass
from pathlib import Path

from shared.serving.addresses import PredictorAddress
from shared.serving.client import PredictorClient
from shared.serving.health import ProcessUse


class Replica:
    """One predictor of a backend.

    Attributes:
        address: where it is.
        client: its connections.
        is_up: whether it answered when it was last asked. A predictor that nobody has asked yet counts as up.
        load: the images of the calls that it has not answered yet, from all batchers of this process.
        turn: when it was last chosen; a larger number is later.
    """

    __slots__ = ("_socket_path", "address", "client", "is_up", "load", "turn")

    def __init__(self, address: PredictorAddress, socket_path: Path | None = None) -> None:
        self.address, self._socket_path = address, socket_path
        self.client = self._connect()
        self.is_up = True
        self.load = self.turn = 0

    def abort_calls(self) -> None:
        """Have every call in flight fail, so that it can be sent to another predictor."""
        self.client.abort()
        self.client = self._connect()

    def _connect(self) -> PredictorClient:
        return PredictorClient(self.address.url, self._socket_path, self.address.ip)


@dataclass(frozen=True)
class ReplicaReport:
    """What is known of a predictor.

    Attributes:
        address: its IP address or the name of its host, and its port.
        process: what it reports of itself; None if it does not answer.
    """

    address: str
    process: ProcessUse | None
