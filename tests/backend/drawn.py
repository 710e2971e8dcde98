"""What the tests draw: small networks, weights without a zero in them, random pictures."""

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from shared.dataset import Split
from shared.network import Dense, Flatten, Network
from shared.weights import Weights

# Few examples and no deadline, because a framework may need a second to build a graph;
# always the same ones, so that a failure is there again when one looks for it.
few = settings(
    max_examples=15, deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
seeds = st.integers(0, 2**32 - 1)


@st.composite
def networks(draw: st.DrawFn) -> Network:
    """A flatten, up to three hidden layers, logits; pictures need not be square and may have colours."""
    side = st.integers(1, 6)
    hidden = st.one_of(
        st.just(Flatten()),
        st.builds(Dense, units=st.integers(1, 8), activation=st.sampled_from([None, "relu", "sigmoid"])),
    )
    return Network(
        input_shape=draw(st.tuples(side, side, st.sampled_from([1, 3]))),
        layers=(Flatten(), *draw(st.lists(hidden, max_size=3)), Dense(units=draw(st.integers(1, 10)))),
    )


def random_weights(network: Network, seed: int) -> Weights:
    """Normal kernels of variance 1 / inputs and normal biases, so that no bias goes unnoticed for being zero."""
    generator = np.random.default_rng(seed)
    return {
        name: (generator.normal(size=shape) / np.sqrt(shape[0] if len(shape) > 1 else 1)).astype(np.float32)
        for name, shape in network.parameter_shapes.items()
    }


def random_split(network: Network, count: int, seed: int) -> Split:
    """Pictures of every grey level and labels that know nothing of them."""
    generator = np.random.default_rng(seed)
    return Split(
        generator.integers(0, 256, (count, *network.input_shape), np.uint8),
        generator.integers(0, network.output_shape[0], count),
    )
