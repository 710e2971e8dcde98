"""A fork of the test's process in a slot of its own."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from shared.web.process_slots import ProcessSlots


@contextmanager
def process_of(slots: ProcessSlots, publish: Callable[[], None]) -> Iterator[int]:
    """Fork a process that publishes something and then lives until the context ends. Yield its slot."""
    slot = slots.find_free()
    is_done, say_done = os.pipe()
    may_end, say_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(say_end)
        slots.enter(slot)
        publish()
        os.write(say_done, b"1")
        os.read(may_end, 1)
        os._exit(0)
    slots.occupy(slot, pid)
    os.close(say_done)
    try:
        assert os.read(is_done, 1), "the process failed"
        yield slot
    finally:
        for pipe in (is_done, may_end, say_end):
            os.close(pipe)
        os.waitpid(pid, 0)
        slots.release(slot, 0.25)
