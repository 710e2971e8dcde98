"""Log lines, and the id of the request that each line belongs to.

A request has an id: the client sends one in `X-Request-Id`, or the gateway creates one. The id is passed on to
predictors in that header, and to trainers in the job's payload. Every log line that is written on the way contains it.
"""

import itertools
import logging
import os
import re
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import structlog
from structlog import dev, processors
from structlog.contextvars import merge_contextvars
from structlog.stdlib import ProcessorFormatter
from structlog.typing import EventDict

REQUEST_ID = "X-Request-Id"
# One id; or up to 64 ids, separated by commas: a batcher predicts the images of several requests in one call.
_VALID_ID = re.compile(r"[A-Za-z0-9._-]{1,128}(,[A-Za-z0-9._-]{1,128}){0,63}")
_current_id: ContextVar[str] = ContextVar("request_id", default="")


def _new_ids() -> Iterator[str]:
    """Yield ids of 32 hexadecimal digits: 16 random ones of this process, then a count. It takes 0.2 microseconds."""
    process = secrets.token_hex(8)
    return (f"{process}{count:016x}" for count in itertools.count(1))


_ids = _new_ids()


def _renew_ids() -> None:
    """Let a child process make other ids than its parent."""
    global _ids  # noqa: PLW0603 - each process has its own
    _ids = _new_ids()


os.register_at_fork(after_in_child=_renew_ids)


def configure_logs(form: str) -> None:
    """Write each event as one line to standard output.

    Call it once, when a process starts. Warnings and errors of libraries, which use the `logging` module, are written
    in the same form.

    Args:
        form: `json`, `text`, or `auto`: text on a terminal, else JSON.
    """
    is_text = form == "text" or (form == "auto" and sys.stdout.isatty())
    text = dev.ConsoleRenderer(exception_formatter=dev.plain_traceback)
    stamp = processors.TimeStamper(fmt="iso", utc=True)
    first: list[Any] = [merge_contextvars, _add_request_id, processors.add_log_level, stamp]
    last: list[Any] = [text] if is_text else [processors.format_exc_info, processors.JSONRenderer()]
    # This logger writes a line and its end in one call: several processes write to the same file.
    structlog.configure([*first, *last], logger_factory=structlog.WriteLoggerFactory())
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        ProcessorFormatter(processors=[ProcessorFormatter.remove_processors_meta, *last], foreign_pre_chain=first)
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING)


def begin_request(asked: str) -> None:
    """Set the request id of the current thread or task.

    Args:
        asked: the id that the client sent. If it is empty or contains other characters than letters, digits, `.`,
            `_` and `-`, a new id is created instead.
    """
    _current_id.set(asked if asked and _VALID_ID.fullmatch(asked) else next(_ids))


def request_id() -> str:
    """Return the request id of the current thread or task; empty if there is none."""
    return _current_id.get()


@contextmanager
def use_request_id(text: str) -> Iterator[None]:
    """Set the request id of the current thread or task within the context.

    Args:
        text: one id, or several with commas between them. It is not checked.
    """
    token = _current_id.set(text)
    try:
        yield
    finally:
        _current_id.reset(token)


def _add_request_id(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Add the request id to an event, unless the event has one or there is none. structlog calls this."""
    if text := _current_id.get():
        event.setdefault("request_id", text)
    return event
