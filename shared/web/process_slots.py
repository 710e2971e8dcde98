"""Numbers for the processes of one server, and memory in which they publish figures to each other.

The parent makes the memory before it forks, so that all processes have it. Each process has a slot: a number, and a
part of each memory that only this process writes. Others read it without a lock: eight bytes are written at once.
"""

import mmap
from typing import Protocol

WORD_BYTES = 8
GENERATIONS = 4  # slots per process: processes that others replaced keep theirs until they have ended
# Words at the beginning of the memory; the process ids of the slots follow.
_CHANGES, _ENDED_CPU_NS, _HEADER_WORDS = 0, 1, 2


class Clearable(Protocol):
    """Memory with a part for each slot, which ends with the slot's process."""

    def clear(self, slot: int) -> None:
        """Forget what the process of a slot has published."""


class ProcessSlots:
    """The slots of a server's processes.

    Args:
        processes: how many processes serve at the same time. There are GENERATIONS times as many slots.

    Attributes:
        count: the number of slots.
        processes: how many processes serve at the same time.
        own: the slot of this process; -1 in the parent.
    """

    def __init__(self, processes: int) -> None:
        self.processes = processes
        self.count = GENERATIONS * processes
        self.own = -1
        self._words = shared_words(_HEADER_WORDS + self.count)
        self._clearable: list[Clearable] = []
        self._changes_seen = -1
        self._others: tuple[int, ...] = ()

    def clear_at_end(self, memory: Clearable) -> None:
        """Have the parent clear a slot's part of some memory when the slot's process has ended."""
        self._clearable.append(memory)

    def find_free(self) -> int:
        """Return a slot without a process.

        Raises:
            ValueError: each slot has one.
        """
        return self._pids().index(0)

    def occupy(self, slot: int, pid: int) -> None:
        """Note in the parent that a process has begun."""
        self._words[_HEADER_WORDS + slot] = pid
        self._words[_CHANGES] += 1

    def release(self, slot: int, cpu_s: float) -> None:
        """Note in the parent that a process has ended.

        Args:
            cpu_s: the time that the process spent computing, in seconds.
        """
        for memory in self._clearable:
            memory.clear(slot)
        self._words[_ENDED_CPU_NS] += round(cpu_s * 1e9)
        self.occupy(slot, 0)

    def enter(self, slot: int) -> None:
        """Say in a new process which slot it has."""
        self.own, self._changes_seen = slot, -1

    def others(self) -> tuple[int, ...]:
        """Return the slots of the server's other processes."""
        changes = self._words[_CHANGES]
        if changes != self._changes_seen:
            self._others = tuple(slot for slot, pid in enumerate(self._pids()) if pid and slot != self.own)
            self._changes_seen = changes
        return self._others

    def running(self) -> list[int]:
        """Return the ids of all processes that serve, or are about to."""
        return [pid for pid in self._pids() if pid]

    @property
    def ended_cpu_s(self) -> float:
        """The time that processes which have ended spent computing, in seconds."""
        return self._words[_ENDED_CPU_NS] / 1e9

    def _pids(self) -> list[int]:
        return self._words[_HEADER_WORDS:].tolist()


class SharedConnections:
    """How many connections each process has.

    Args:
        slots: of the processes.
    """

    def __init__(self, slots: ProcessSlots) -> None:
        self._slots = slots
        self._words = shared_words(slots.count)  # the number of connections, plus 1; 0: the process accepts none
        slots.clear_at_end(self)

    def publish(self, connections: int | None) -> None:
        """Publish how many connections this process has; None if it accepts no more."""
        self._words[self._slots.own] = 0 if connections is None else connections + 1

    def fewest_elsewhere(self) -> int | None:
        """Return the smallest number of connections of another process; None if no other one accepts any."""
        return min((self._words[slot] - 1 for slot in self._slots.others() if self._words[slot]), default=None)

    def clear(self, slot: int) -> None:
        """Forget the connections of a process that has ended."""
        self._words[slot] = 0


def shared_words(count: int) -> "memoryview[int]":
    """Return so many integers of 64 bits, all 0, that this process shares with its forks."""
    return memoryview(mmap.mmap(-1, count * WORD_BYTES)).cast("q")
