"""Which predictors have failed one call, and whether another one may be asked."""

from services.gateway.prediction.replica import Replica
from shared.serving.client import (
    MAX_LOST_CONNECTIONS,
    ConnectionFailedError,
    ConnectionLostError,
    PredictorRefusedError,
)

NOT_FOUND, UNAVAILABLE = 404, 503


class FailedAttempts:
    """The predictors that have failed one call."""

    def __init__(self) -> None:
        self._failed: tuple[Replica, ...] = ()
        self._refused: tuple[Replica, ...] = ()
        self._lost = 0

    @property
    def excluded(self) -> tuple[Replica, ...]:
        """The predictors that are not asked again. One whose connection failed is, if it has answered since."""
        return (*self._refused, *self._failed[-1:], *(replica for replica in self._failed if not replica.is_up))

    def may_go_on_after(self, error: ConnectionFailedError | PredictorRefusedError, replica: Replica) -> bool:
        """Add a predictor that has failed the call, and return whether another one may be asked.

        - A connection failed: yes, unless this is the second one that failed after the request was written.
        - The predictor answered 503: yes, it has no room for connections.
        - It answered 404: yes, once. With an object store, a predictor knows a new model up to a second later.
        - It answered another error: no, another predictor would answer the same.
        """
        if isinstance(error, PredictorRefusedError):
            self._refused += (replica,)
            return error.status == UNAVAILABLE or (error.status == NOT_FOUND and len(self._refused) == 1)
        self._failed += (replica,)
        self._lost += isinstance(error, ConnectionLostError)
        return self._lost < MAX_LOST_CONNECTIONS
