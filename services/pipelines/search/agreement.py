"""Whether the backends agree on which trials are good: rank correlation, and the best trial of each."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from shared.jobs.searches import BackendAgreement, SearchTrial

RESAMPLES = 2000
MIN_TRIALS = 3  # of two trials the ranks always agree or always disagree


def compare_rankings(trials: Sequence[SearchTrial], backends: Sequence[str], seed: int) -> list[BackendAgreement]:
    """Return one entry for each pair of backends. Only trials that were trained to the end are compared.

    The interval is a percentile bootstrap over trials (Efron and Tibshirani 1993, section 13.3) with fixed seeds.

    Args:
        trials: all trials.
        backends: those of the search, in order.
        seed: of the search.
    """
    finished = [trial for trial in trials if trial.status == "finished"]
    if not finished:
        return []
    losses = {
        backend: np.array([trial.backends[backend].validation_loss for trial in finished]) for backend in backends
    }
    winners = {backend: finished[int(np.argmin(losses[backend]))].number for backend in backends}
    return [_compare(losses, pair, winners, seed) for pair in combinations(backends, 2)]


def _compare(
    losses: dict[str, NDArray[np.float64]], pair: tuple[str, str], winners: dict[str, int], seed: int
) -> BackendAgreement:
    first, second = (losses[backend] for backend in pair)
    count = len(first)
    value = low = high = None
    if count >= MIN_TRIALS:
        value = _rank_correlation(first, second)
        draws = np.random.Generator(np.random.PCG64(seed)).integers(0, count, (RESAMPLES, count))
        resampled = [_rank_correlation(first[draw], second[draw]) for draw in draws]
        known = [found for found in resampled if found is not None]
        if value is not None and known:
            low, high = (float(end) for end in np.quantile(known, [0.025, 0.975]))
    return BackendAgreement(
        backends=list(pair),
        trials=count,
        rank_correlation=value,
        low=low,
        high=high,
        same_winner=winners[pair[0]] == winners[pair[1]],
        winners={backend: winners[backend] for backend in pair},
    )


def _rank_correlation(first: NDArray[np.float64], second: NDArray[np.float64]) -> float | None:
    """Return Spearman's rank correlation, or None if all values of a side are equal."""
    ranks = [_rank(values) for values in (first, second)]
    centred = [found - found.mean() for found in ranks]
    spread = np.sqrt((centred[0] ** 2).sum() * (centred[1] ** 2).sum())
    return float((centred[0] * centred[1]).sum() / spread) if spread else None


def _rank(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rank of each value. Equal values share the mean of their ranks."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[places], np.float64)
