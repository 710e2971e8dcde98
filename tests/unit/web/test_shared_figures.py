"""What forked processes publish to each other, and what remains when one of them ends."""

import os

import pytest

from shared.web.process_slots import GENERATIONS, ProcessSlots, SharedConnections
from shared.web.shared_figures import SharedAmounts, SharedRecords, SharedTimes, SharedUse, key_of
from tests.unit.web.forked_process import process_of


@pytest.fixture
def slots() -> ProcessSlots:
    """Return the slots of a server with two processes. This process has the first one."""
    slots = ProcessSlots(2)
    slots.occupy(0, os.getpid())
    slots.enter(0)
    return slots


def test_a_slot_is_free_again_when_its_process_has_ended(slots: ProcessSlots) -> None:
    assert slots.count == 2 * GENERATIONS
    with process_of(slots, lambda: None) as slot:
        assert slots.others() == (slot,) == (1,)
        assert len(slots.running()) == 2
    assert slots.others() == ()
    assert slots.find_free() == 1
    assert slots.ended_cpu_s == 0.25


def test_amounts_of_other_processes_are_added_and_end_with_their_process(slots: ProcessSlots) -> None:
    amounts = SharedAmounts(slots)

    def publish() -> None:
        for key in range(1, 101):
            amounts.publish(key, key, since_s=10.0 + key, group=key % 2)
        amounts.publish(40, 0)
        amounts.publish(41, 410, since_s=5.0, group=1)

    with process_of(slots, publish):
        amounts.publish(7, 1000, since_s=20.0, group=1)
        assert [amounts.sum_elsewhere(key) for key in (7, 40, 41, 100, 101)] == [7, 0, 410, 100, 0]
        assert amounts.read_group(1) == (1000 + sum(range(1, 101, 2)) - 41 + 410, 5.0)
        assert amounts.read_group(0) == (sum(range(2, 101, 2)) - 40, 12.0)
        assert amounts.read_group(2) == (0, None)
    assert amounts.sum_elsewhere(7) == 0
    assert amounts.read_group(1) == (1000, 20.0)
    with process_of(slots, lambda: amounts.publish(3, 33)):  # the slot has nothing of the process before
        assert [amounts.sum_elsewhere(key) for key in (3, 7)] == [33, 0]


def test_a_key_whose_bytes_lie_across_two_others_is_not_found(slots: ProcessSlots) -> None:
    amounts = SharedAmounts(slots)

    def publish() -> None:
        amounts.publish(0x0102030405060708, 1)
        amounts.publish(0x1112131415161718, 2)

    with process_of(slots, publish):
        assert amounts.sum_elsewhere(0x1516171801020304) == 0
        assert amounts.sum_elsewhere(0x1112131415161718) == 2


def test_amounts_beyond_the_number_of_entries_stay_private(slots: ProcessSlots) -> None:
    amounts = SharedAmounts(slots, entries=2)

    def publish() -> None:
        for key in (1, 2, 3):
            amounts.publish(key, 10)
        amounts.publish(1, 0)
        amounts.publish(4, 10)

    with process_of(slots, publish):
        assert [amounts.sum_elsewhere(key) for key in (1, 2, 3, 4)] == [0, 10, 0, 10]


def test_use_is_added_by_client_and_in_all(slots: ProcessSlots) -> None:
    use = SharedUse(slots)

    def publish() -> None:
        use.add("a", 10)
        use.add("b", 5)
        use.add("b", -5)

    with process_of(slots, publish):
        assert [use.read_elsewhere(client) for client in "ab"] == [(10, 10), (0, 10)]


def test_the_latest_time_of_another_process_is_read(slots: ProcessSlots) -> None:
    times = SharedTimes(slots, places=4)
    with process_of(slots, lambda: times.publish(5, 1.5)):
        times.publish(5, 9.0)
        assert times.latest_elsewhere(5) == 1.5
        assert times.latest_elsewhere(9) == 0  # another key with the same place


def test_rows_outlive_their_process_and_the_next_one_goes_on_with_them(slots: ProcessSlots) -> None:
    records = SharedRecords(slots, 4, 2)
    key = key_of(("m", 1))

    def count() -> None:
        row, numbers = records.read_own().get(key, (3, [0, 0]))
        records.write(row, key, [number + 1 for number in numbers])

    for expected in (1, 2):
        with process_of(slots, count):
            assert records.read_elsewhere(key) == [[expected, expected]]
    assert records.read_elsewhere(key) == [[2, 2]]
    assert records.read_elsewhere(key_of(("m", 2))) == []


def test_a_process_that_accepts_no_connections_is_not_asked_to(slots: ProcessSlots) -> None:
    connections = SharedConnections(slots)
    assert connections.fewest_elsewhere() is None
    with process_of(slots, lambda: connections.publish(3)), process_of(slots, lambda: connections.publish(None)):
        assert connections.fewest_elsewhere() == 3
    assert connections.fewest_elsewhere() is None
