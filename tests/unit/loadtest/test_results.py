"""A result is invalid, and says why, if its figures cannot be relied on."""

from dataclasses import replace

import numpy as np
import pytest

from services.loadtest.generator import Block
from services.loadtest.results import MeasuredBlock, compute_result
from services.loadtest.sender import CONNECTION_FAILED, HTTP_OK
from services.loadtest.strategies import _find_search_fault

COUNT = 50
GOOD = Block(
    scheduled_s=np.arange(COUNT) / 50,
    sent_s=np.arange(COUNT) / 50,
    done_s=np.arange(COUNT) / 50 + 0.005,
    status=np.full(COUNT, HTTP_OK),
    late_s=np.zeros(COUNT),
    handling_s=np.zeros(COUNT),
    parts_ms=np.full((COUNT, 6), 0.5),
    cpu_share=0.1,
)
SILENT = replace(GOOD, status=np.full(COUNT, CONNECTION_FAILED))
DOUBTFUL = replace(GOOD, fault="the measured mean latency is wrong")
LOST = replace(SILENT, status=np.full(COUNT, 3), fault="the load generator's process died")


def measured(*blocks: Block) -> list[MeasuredBlock]:
    return [MeasuredBlock(block, float(number), 0.1, 1000) for number, block in enumerate(blocks)]


def test_a_side_that_answers_in_time_has_a_valid_result() -> None:
    result = compute_result(measured(GOOD, GOOD), 50, 50)
    assert result.valid
    assert result.invalid_reason is None


def test_the_generators_time_is_separated_from_waiting_and_from_the_network() -> None:
    """Half of the queries waited 1 ms for a connection. All were 0.5 ms late and were read after 0.25 ms."""
    waited_s = np.where(np.arange(COUNT) % 2, 0.001, 0)
    block = replace(
        GOOD,
        sent_s=GOOD.scheduled_s + 0.0005 + waited_s,
        late_s=np.full(COUNT, 0.0005),
        handling_s=np.full(COUNT, 0.00025),
    )
    result = compute_result(measured(block), 50, 50)
    assert result.generator_p50_ms == pytest.approx(0.75)
    assert result.generator_p99_ms == pytest.approx(0.75)
    assert result.time_split_ms["waiting"] == pytest.approx(0.5)
    assert result.time_split_ms["generator"] == pytest.approx(0.75)
    assert result.time_split_ms["network"] == pytest.approx(5 - 0.5 - 0.75 - 0.5)
    assert sum(result.time_split_ms.values()) == pytest.approx(5)


def test_a_side_that_stopped_answering_has_an_invalid_result_that_counts_its_errors() -> None:
    result = compute_result(measured(*[GOOD] * 7, SILENT, SILENT), 50, 50)
    assert not result.valid
    assert result.invalid_reason == "no request was answered with 200 in 2 of 9 blocks"
    assert result.errors == {"connection": 2 * COUNT}
    assert result.p50_ms is not None


def test_predictors_that_changed_make_their_result_invalid() -> None:
    blocks = measured(GOOD, GOOD)
    result = compute_result([blocks[0], replace(blocks[1], have_predictors_changed=True)], 50, 50)
    assert result.invalid_reason == "a predictor was restarted, added or removed in 1 of 2 blocks"


def test_a_doubtful_block_makes_its_result_invalid() -> None:
    result = compute_result(measured(GOOD, DOUBTFUL), 50, 50)
    assert result.invalid_reason == "in 1 of 2 blocks, the measured mean latency is wrong"


def test_a_search_is_invalid_for_a_lost_block_and_for_a_doubtful_one_that_meets_the_bound() -> None:
    good, silent, doubtful, lost = measured(GOOD, SILENT, DOUBTFUL, LOST)
    assert _find_search_fault(good, is_met=True) is None
    assert _find_search_fault(doubtful, is_met=True) == DOUBTFUL.fault
    assert _find_search_fault(doubtful, is_met=False) is None, "such blocks count as the generator's own limit"
    assert _find_search_fault(lost, is_met=False) == LOST.fault
    assert _find_search_fault(silent, is_met=False) == "no request was answered with 200"
    changed = replace(good, have_predictors_changed=True)
    assert _find_search_fault(changed, is_met=True) == "a predictor was restarted, added or removed"
