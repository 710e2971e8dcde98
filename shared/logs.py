"""What a process says of itself: lines of log, and the id of the request that they are about.

A request comes with an id, or is given one at the gateway. The id goes with all that the
request sets going: calls to predictors in a header, jobs in their payload; every line that
is logged on the way has it. Metrics stand where there is something to count.
"""

import logging
import re
import sys
import uuid
from typing import Any

import structlog
from structlog import dev, processors
from structlog.contextvars import bind_contextvars, get_contextvars, merge_contextvars
from structlog.stdlib import ProcessorFormatter

REQUEST_ID = "X-Request-Id"
# One id, or those of the requests that share a call.
_SAFE = re.compile(r"[A-Za-z0-9._-]{1,128}(,[A-Za-z0-9._-]{1,128}){0,63}")


def configure_logs(form: str) -> None:
    """A line per event on standard output: JSON for machines, text for people.

    Args:
        form: json, text, or auto: text on a terminal.
    """
    text = dev.ConsoleRenderer(exception_formatter=dev.plain_traceback)
    is_text = form == "text" or (form == "auto" and sys.stdout.isatty())
    first: list[Any] = [merge_contextvars, processors.add_log_level, processors.TimeStamper(fmt="iso", utc=True)]
    last: list[Any] = [text] if is_text else [processors.format_exc_info, processors.JSONRenderer()]
    # Line and end in one write: processes share a file.
    structlog.configure([*first, *last], logger_factory=structlog.WriteLoggerFactory())
    handler = logging.StreamHandler(sys.stdout)  # for libraries, which know nothing of structlog
    last.insert(0, ProcessorFormatter.remove_processors_meta)
    handler.setFormatter(ProcessorFormatter(processors=last, foreign_pre_chain=first))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)


def begin_request(asked: str) -> None:
    """Take the id that a request came with, or make one if that is none; this thread works for it from here on."""
    bind_contextvars(request_id=asked if _SAFE.fullmatch(asked) else uuid.uuid4().hex)


def request_id() -> str:
    """The id of the request that this thread works for; empty for none."""
    return str(get_contextvars().get("request_id", ""))
