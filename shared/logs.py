"""Log lines, and the id of the request that each line belongs to.

A request has an id: the client sends one in `X-Request-Id`, or the gateway creates one. The id is passed on to
predictors in that header, and to trainers in the job's payload. Every log line that is written on the way contains it.
"""

import logging
import re
import secrets
import sys
from typing import Any

import structlog
from structlog import dev, processors
from structlog.contextvars import bind_contextvars, get_contextvars, merge_contextvars
from structlog.stdlib import ProcessorFormatter

REQUEST_ID = "X-Request-Id"
# One id; or up to 64 ids, separated by commas: a batcher predicts the images of several requests in one call.
_VALID_ID = re.compile(r"[A-Za-z0-9._-]{1,128}(,[A-Za-z0-9._-]{1,128}){0,63}")


def configure_logs(form: str) -> None:
    """Write each event as one line to standard output.

    Call it once, when a process starts. Warnings and errors of libraries, which use the `logging` module, are written
    in the same form.

    Args:
        form: `json`, `text`, or `auto`: text on a terminal, else JSON.
    """
    is_text = form == "text" or (form == "auto" and sys.stdout.isatty())
    text = dev.ConsoleRenderer(exception_formatter=dev.plain_traceback)
    first: list[Any] = [merge_contextvars, processors.add_log_level, processors.TimeStamper(fmt="iso", utc=True)]
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
    bind_contextvars(request_id=asked if _VALID_ID.fullmatch(asked) else secrets.token_hex(16))


def request_id() -> str:
    """Return the request id of the current thread or task; empty if there is none."""
    return str(get_contextvars().get("request_id", ""))
