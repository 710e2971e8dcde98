"""Repeats the arrival times that LoadGen draws in the scenario `server`.

LoadGen does not report the times at which it scheduled its queries. They are needed, because latency counts from the
scheduled time. LoadGen draws them from a known random generator with a known seed, so they can be drawn again.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def draw_arrivals(seed: int, qps: float, count: int) -> NDArray[np.float64]:
    """Return the scheduled times of LoadGen's queries, which are a Poisson process.

    LoadGen draws the gaps with libstdc++'s exponential distribution from a Mersenne twister (mt19937):
    -ln(1 - u) / qps, cut to whole nanoseconds, where u is made of two 32-bit draws divided by 2^64
    (`ScheduleDistribution` in LoadGen's loadgen.cc; `generate_canonical` in libstdc++'s random.tcc).

    Args:
        seed: LoadGen's schedule seed.
        qps: mean number of queries per second.
        count: number of queries.

    Returns:
        float64 [count], seconds since the first query, ascending.
    """
    generator: Any = np.random.RandomState(seed)._bit_generator  # type: ignore[attr-defined]
    draws = generator.random_raw(2 * (count - 1)).reshape(-1, 2)
    uniform = (draws[:, 0] + draws[:, 1] * 2.0**32) / 2.0**64
    times = np.zeros(count)
    np.cumsum(np.floor(-np.log1p(-uniform) / qps * 1e9) / 1e9, out=times[1:])
    return times
