"""Figures that the processes of one server share: amounts, times, and rows of numbers, each found by a key.

A key is an integer of 64 bits other than 0: `key_of` what it stands for. All processes are forks of one parent, so they
have the same keys. Each process writes only the part of its slot, and reads the parts of the others.
"""

import mmap
from array import array
from collections import Counter
from collections.abc import Hashable

from shared.web.process_slots import WORD_BYTES, ProcessSlots

ALL_CLIENTS = 1  # a key; that of a client is the same once in 10^19 cases


def key_of(found: Hashable) -> int:
    """Return the key of what a figure is about. Different ones have the same key once in 10^19 cases."""
    return hash(found) or 1


class SharedAmounts:
    """Amounts by key, such as how many images wait for a model. Each process publishes its own, and reads the sum.

    A key is an integer of 64 bits: `hash` of what identifies it. All processes are forks of one parent, so they have
    the same hashes. A process publishes at most `entries` amounts other than 0 at a time; further ones are not seen by
    the others.

    Args:
        slots: of the processes.
        entries: how many amounts a process can publish.
    """

    def __init__(self, slots: ProcessSlots, entries: int = 4096) -> None:
        self._slots, self._entries = slots, entries
        # The part of a slot: how many entries are in use; then four columns: keys, amounts, since when, groups.
        self._slot_words = 1 + 4 * entries
        self._memory = mmap.mmap(-1, slots.count * self._slot_words * WORD_BYTES)
        self._words = memoryview(self._memory).cast("q")
        self._places: dict[int, int] = {}  # key -> the word of its key in the part of this process
        self._free: list[int] = []
        slots.clear_at_end(self)

    def publish(self, key: int, amount: int, since_s: float = 0.0, group: int = 0) -> None:
        """Publish an amount of this process.

        Args:
            key: what the amount is for; any integer but 0.
            amount: 0 removes the entry.
            since_s: since when there has been an amount, in seconds of a clock that all processes share.
            group: of keys, for `read_group`.
        """
        words, place = self._words, self._places.get(key)
        if place is None:
            if not amount or (place := self._take_place()) is None:
                return
            self._places[key] = place
            words[place + 3 * self._entries] = group
            words[place + 2 * self._entries] = int(since_s * 1e9)
            words[place + self._entries] = amount
            words[place] = key
            return
        words[place + self._entries] = amount
        if amount:
            words[place + 2 * self._entries] = int(since_s * 1e9)
        else:
            words[place] = 0
            del self._places[key]
            self._free.append(place)

    def sum_elsewhere(self, key: int) -> int:
        """Return the sum of the other processes' amounts for a key."""
        found, sought = 0, b""
        for slot in self._slots.others():
            first = slot * self._slot_words
            if used := self._words[first]:
                sought = sought or key.to_bytes(WORD_BYTES, "little", signed=True)
                found += self._amount_at(key, sought, first + 1, first + 1 + used)
        return found

    def read_group(self, group: int) -> tuple[int, float | None]:
        """Return the sum of all processes' amounts in a group, and the earliest time since when there is one."""
        total, earliest_ns, entries = 0, None, self._entries
        for slot in (self._slots.own, *self._slots.others()):
            first = slot * self._slot_words
            for place in range(first + 1, first + 1 + self._words[first]):
                amount, since_ns = self._words[place + entries], self._words[place + 2 * entries]
                if amount and self._words[place] and self._words[place + 3 * entries] == group:
                    total += amount
                    earliest_ns = since_ns if earliest_ns is None else min(earliest_ns, since_ns)
        return total, None if earliest_ns is None else earliest_ns / 1e9

    def clear(self, slot: int) -> None:
        """Forget the amounts of a process that has ended."""
        self._words[slot * self._slot_words] = 0

    def _take_place(self) -> int | None:
        """Return the word of an unused entry of this process, or None if there is none."""
        if self._free:
            return self._free.pop()
        first = self._slots.own * self._slot_words
        used = self._words[first]
        if used == self._entries:
            return None
        place = first + 1 + used
        self._words[place] = 0  # the entry may have been that of an earlier process
        self._words[first] = used + 1
        return place

    def _amount_at(self, key: int, sought: bytes, first: int, end: int) -> int:
        """Return the amount of a key between two words; 0 if it is not there."""
        at = self._memory.find(sought, first * WORD_BYTES, end * WORD_BYTES)
        while at >= 0 and at % WORD_BYTES:  # the last bytes of a key and the first ones of the next
            at = self._memory.find(sought, at + 1, end * WORD_BYTES)
        if at < 0:
            return 0
        place = at // WORD_BYTES
        amount = self._words[place + self._entries]
        return amount if self._words[place] == key else 0  # else another key has just taken the place


class SharedUse:
    """What each client, and all together, use of something limited, such as memory for request bodies.

    Args:
        slots: of the processes.
    """

    def __init__(self, slots: ProcessSlots) -> None:
        self._amounts = SharedAmounts(slots)
        self._own: Counter[int] = Counter()

    def add(self, client: str, amount: int) -> None:
        """Publish that a client of this process uses so much more, or less if the amount is negative."""
        for key in (key_of(client), ALL_CLIENTS):
            self._own[key] += amount
            self._amounts.publish(key, self._own[key])
            if not self._own[key]:
                del self._own[key]

    def read_elsewhere(self, client: str) -> tuple[int, int]:
        """Return what a client uses in the other processes, and what all clients use there."""
        return self._amounts.sum_elsewhere(key_of(client)), self._amounts.sum_elsewhere(ALL_CLIENTS)


class SharedTimes:
    """A time by key, such as when a client's rate limit has recovered. Each process reads the latest of the others'.

    A key has one place. Of two keys with the same place, the one that was published later stays.

    Args:
        slots: of the processes.
        places: how many keys there can be in each process.
    """

    def __init__(self, slots: ProcessSlots, places: int = 16_384) -> None:
        self._slots, self._places = slots, places
        memory = memoryview(mmap.mmap(-1, slots.count * places * 2 * WORD_BYTES))
        self._keys, self._times = memory.cast("q"), memory.cast("d")

    def publish(self, key: int, time_s: float) -> None:
        """Publish a time of this process.

        Args:
            key: what the time is for; any integer but 0.
        """
        word = 2 * (self._slots.own * self._places + key % self._places)
        self._keys[word], self._times[word + 1] = key, time_s

    def latest_elsewhere(self, key: int) -> float:
        """Return the latest of the other processes' times for a key; 0 if none has one."""
        latest_s, place = 0.0, key % self._places
        for slot in self._slots.others():
            word = 2 * (slot * self._places + place)
            if self._keys[word] == key and self._times[word + 1] > latest_s:
                latest_s = self._times[word + 1]
        return latest_s


class SharedRecords:
    """Rows of numbers by key, such as the counters of a model. They outlive the process that wrote them.

    A process that takes the slot of one that has ended goes on with its rows.

    Args:
        slots: of the processes.
        rows: how many a process can have.
        columns: how many numbers are in a row.
    """

    def __init__(self, slots: ProcessSlots, rows: int, columns: int) -> None:
        self._slots, self._rows, self._columns = slots, rows, columns
        self._slot_words = rows * (1 + columns)
        self._memory = mmap.mmap(-1, slots.count * self._slot_words * WORD_BYTES)
        self._words = memoryview(self._memory).cast("q")

    def read_own(self) -> dict[int, tuple[int, list[int]]]:
        """Return key -> (row, numbers) of this process' slot. A new process calls this once."""
        first = self._slots.own * self._slot_words
        keys = self._words[first : first + self._rows].tolist()
        return {key: (row, self._numbers(self._slots.own, row)) for row, key in enumerate(keys) if key}

    def write(self, row: int, key: int, numbers: list[int]) -> None:
        """Write a row of this process."""
        first = self._slots.own * self._slot_words
        start = first + self._rows + row * self._columns
        has_other_key = self._words[first + row] != key
        if has_other_key:
            self._words[first + row] = 0  # so that no reader takes the numbers for those of the other key
        self._words[start : start + self._columns] = memoryview(array("q", numbers))
        if has_other_key:
            self._words[first + row] = key

    def read_elsewhere(self, key: int) -> list[list[int]]:
        """Return the rows of a key in all other slots, also in those whose process has ended."""
        sought, found = key.to_bytes(WORD_BYTES, "little", signed=True), []
        for slot in range(self._slots.count):
            if slot == self._slots.own:
                continue
            first = slot * self._slot_words * WORD_BYTES
            end = first + self._rows * WORD_BYTES
            at = self._memory.find(sought, first, end)
            while at >= 0 and at % WORD_BYTES:
                at = self._memory.find(sought, at + 1, end)
            if at >= 0:
                found.append(self._numbers(slot, (at - first) // WORD_BYTES))
        return found

    def read_all_elsewhere(self) -> list[tuple[int, list[int]]]:
        """Return the keys and the rows in all other slots, also in those whose process has ended."""
        found = []
        for slot in range(self._slots.count):
            if slot != self._slots.own:
                first = slot * self._slot_words
                keys = self._words[first : first + self._rows].tolist()
                found += [(key, self._numbers(slot, row)) for row, key in enumerate(keys) if key]
        return found

    def _numbers(self, slot: int, row: int) -> list[int]:
        start = slot * self._slot_words + self._rows + row * self._columns
        return self._words[start : start + self._columns].tolist()
