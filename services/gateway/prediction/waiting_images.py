"""How many images wait for each model of a backend, in all processes of the gateway together."""

from time import perf_counter

from shared.web.shared_figures import SharedAmounts, key_of


class WaitingImages:
    """What a process publishes of the images that wait in its batchers, and reads of the others'.

    Args:
        amounts: of all processes.
        backends: all backends.
    """

    def __init__(self, amounts: SharedAmounts, backends: tuple[str, ...]) -> None:
        self._amounts, self._backends = amounts, backends

    def publish(self, key: tuple[str, str, int], images: int, since_s: float) -> None:
        """Publish how many images wait for a model in this process.

        Args:
            key: backend, name and version of the model.
            since_s: when the first of them came, in seconds of `time.perf_counter`. All processes have the same clock.
        """
        self._amounts.publish(key_of(key), images, since_s, self._backends.index(key[0]))

    def count_elsewhere(self, key: tuple[str, str, int]) -> int:
        """Return how many images wait for a model in the other processes.

        Args:
            key: backend, name and version of the model.
        """
        return self._amounts.sum_elsewhere(key_of(key))

    def count_waiting(self, backend: str) -> tuple[int, float]:
        """Return how many images wait for a backend in all processes, and for how many seconds the first one has."""
        images, since_s = self._amounts.read_group(self._backends.index(backend))
        return images, 0.0 if since_s is None else max(0.0, perf_counter() - since_s)
