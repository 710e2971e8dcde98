"""The candidates: 200 with a planted defect, and 40 good ones. The short selection has 10 and 3."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from benchmarks.defects.data import (
    Change,
    enlarged,
    inverted,
    leaked,
    resampled,
    shuffled,
    swapped,
    transposed,
    unchanged,
)
from benchmarks.defects.models import (
    MANIFEST_FILE,
    Plant,
    edit_manifest,
    flip_bit,
    plant_damage,
    plant_nan,
    plant_other_weights,
    plant_slow,
    truncate,
)

DIGITS, MNIST = "digits", "mnist"
SLOW = "slow: 32 convolutions in front"
# A slow model computes the same, so no other gate can refuse it. They would only classify the test split very slowly.
ONLY_LATENCY: Mapping[str, Any] = dict.fromkeys(("data", "accuracy", "parity", "golden"))
SHORT_LATENCY = {"rate": 20, "bound_ms": 20, "duration_s": 1}  # for the pictures of `digits`, which are small
EVERY_FIFTH = 5  # case of a kind is planted in MNIST


@dataclass(frozen=True)
class Case:
    """A candidate.

    Attributes:
        kind: what it is, for the table.
        base: the data that it is made of.
        seed: of its data and its training.
        change: what its data are.
        training: fields of its training that differ from those of the stable version.
        plant: publishes it as a changed copy of the stable version; then nothing is trained.
        is_good: whether it should be released.
        is_base_gone: whether the data of the stable version are deleted before.
        gates: its gates, as far as they differ from those of the other cases.
    """

    kind: str
    base: str
    seed: int
    change: Change = unchanged
    training: Mapping[str, Any] = field(default_factory=dict)
    plant: Plant | None = None
    is_good: bool = False
    is_base_gone: bool = False
    gates: Mapping[str, Any] = field(default_factory=dict)


# Kind, change and how many.
DATA_DEFECTS: tuple[tuple[str, Change, int], ...] = (
    ("labels: all shuffled", shuffled(1), 8),
    ("labels: all shuffled, training only", shuffled(1, in_test=False), 8),
    ("labels: 50 % shuffled", shuffled(0.5), 6),
    ("labels: 20 % shuffled", shuffled(0.2), 8),
    ("labels: 10 % shuffled", shuffled(0.1), 10),
    ("labels: 10 % shuffled, training only", shuffled(0.1, in_test=False), 10),
    ("labels: 5 % shuffled", shuffled(0.05), 6),
    ("classes swapped", swapped(), 12),
    ("classes swapped, training only", swapped(in_test=False), 12),
    ("classes swapped, test only", swapped(in_train=False), 6),
    ("pictures inverted", inverted(), 6),
    ("pictures inverted, training only", inverted(in_test=False), 4),
    ("pictures inverted, 20 %", inverted(0.2), 6),
    ("pictures inverted, 10 %", inverted(0.1), 4),
    ("pictures transposed", transposed(), 6),
    ("pictures transposed, training only", transposed(in_test=False), 4),
    ("pictures transposed, 20 %", transposed(0.2), 6),
    ("leak: all test pictures", leaked(1), 4),
    ("leak: 20 %", leaked(0.2), 6),
    ("leak: 5 %", leaked(0.05), 6),
    ("leak: 20 %, noise of 4", leaked(0.2, 4), 6),
    ("leak: 20 %, noise of 8", leaked(0.2, 8), 6),
)


WORSE_TRAININGS: tuple[tuple[str, dict[str, Any], int], ...] = (
    ("worse: a tenth of the epochs", {"epochs": 2}, 10),
    ("worse: 4 units", {"network": {"hidden": 4}}, 8),
    ("worse: a learning rate too small", {"optimizer": {"name": "adam", "learning_rate": 0.0001}}, 8),
)
PLANTS: tuple[tuple[str, Plant, int], ...] = (
    (SLOW, plant_slow(32, 128), 4),
    ("slow: 40 convolutions in front", plant_slow(40, 128), 4),
    ("NaN: one weight of each array", plant_nan(0, in_all_backends=True), 4),
    ("NaN: every weight, one backend", plant_nan(1, in_all_backends=False), 4),
    ("file: truncated", plant_damage(truncate(0.5)), 1),
    ("file: last bytes are missing", plant_damage(truncate(0.999)), 1),
    ("file: empty", plant_damage(truncate(0)), 1),
    ("file: a bit of a weight differs", plant_damage(flip_bit(0.7)), 2),
    ("file: a bit of the header differs", plant_damage(flip_bit(0.01)), 1),
    ("file: the manifest was edited", plant_damage(edit_manifest, MANIFEST_FILE), 1),
    ("file: other weights than at publication", plant_other_weights, 1),
)
# With a constant learning rate the accuracy of a convolutional network changes by several points from epoch to epoch.
DECAYING: Mapping[str, Any] = {"epochs": 12, "schedule": "cosine"}
GOOD: tuple[tuple[str, Change, dict[str, Any], int], ...] = (
    ("good: another seed", unchanged, {}, 8),
    ("good: more epochs", unchanged, {"epochs": 30}, 6),
    ("good: a wider network", unchanged, {"network": {"hidden": 256}}, 4),
    ("good: cnn", unchanged, {"network": "cnn", **DECAYING}, 3),
    ("good: lenet5", unchanged, {"network": "lenet5", **DECAYING}, 3),
    ("good: splits drawn anew", resampled, {}, 8),
    ("good: some new pictures", enlarged, {}, 8),
)


def list_cases() -> list[Case]:
    """Return all cases."""
    return [*_defects(), *_good()]


def list_short_cases() -> list[Case]:
    """Return ten defects and three good candidates, all of `digits`.

    Load tests take most of the time. So only the slow model meets one, and it meets no other gate.
    """
    kinds = (
        *("labels: all shuffled", "labels: 10 % shuffled", "classes swapped", "pictures inverted"),
        *("pictures transposed", "leak: 20 %", "worse: 4 units", "NaN: every weight, one backend"),
        *("file: a bit of a weight differs", SLOW),
        *("good: another seed", "good: splits drawn anew", "good: some new pictures"),
    )
    cases = list_cases()
    found = [next(case for case in cases if case.kind == kind) for kind in kinds]
    return [_shorten(case) for case in found]


def _shorten(case: Case) -> Case:
    """Return a case for the small pictures of `digits`, without a load test unless it needs one."""
    if case.kind != SLOW:
        return replace(case, gates={"latency": None})
    return replace(case, base=DIGITS, plant=plant_slow(24, 256), gates={**ONLY_LATENCY, "latency": SHORT_LATENCY})


def _defects() -> Iterator[Case]:
    for kind, change, count in DATA_DEFECTS:
        for number in range(count):
            is_base_gone = number % 2 == 1
            yield Case(kind, _base(number), number, change, is_base_gone=is_base_gone)
    for kind, training, count in WORSE_TRAININGS:
        for number in range(count):
            yield Case(kind, _base(number), number, training=training)
    for kind, plant, count in PLANTS:
        for number in range(count):
            if kind.startswith("slow"):
                # On a picture of MNIST the convolutions take several times the bound, also on a fast machine.
                yield Case(kind, MNIST, number, plant=plant, gates=ONLY_LATENCY)
            else:
                yield Case(kind, DIGITS, number, plant=plant)


def _good() -> Iterator[Case]:
    for kind, change, training, count in GOOD:
        for number in range(count):
            is_base_gone = change is not unchanged and number % 2 == 1
            base = MNIST if isinstance(training.get("network"), str) else _base(number)
            yield Case(kind, base, 100 + number, change, training, is_good=True, is_base_gone=is_base_gone)


def _base(number: int) -> str:
    return MNIST if number % EVERY_FIFTH == EVERY_FIFTH - 1 else DIGITS
