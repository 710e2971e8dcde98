"""Lines of log and ids of requests: what is taken, what is replaced, and where they are to be read."""

import json
import re
import subprocess
import sys

SPEAKER = """
import logging, structlog, sys
from shared.logs import begin_request, configure_logs
configure_logs(sys.argv[1])
begin_request("mine")
structlog.get_logger().info("loaded", version=3)
try:
    int("none")
except ValueError:
    structlog.get_logger().exception("broken")
logging.getLogger("rq.worker").warning("a library's %s", "word")
"""


def said(form: str) -> str:
    """What a process of its own writes: logs are configured once in a process."""
    return subprocess.run([sys.executable, "-c", SPEAKER, form], stdout=subprocess.PIPE, text=True, check=True).stdout


def test_json_is_a_line_per_event_with_the_id_of_its_request() -> None:
    ours, broken, theirs = map(json.loads, said("auto").splitlines())  # a pipe is no terminal
    assert ours.pop("timestamp").endswith("Z")
    assert ours == {"event": "loaded", "version": 3, "level": "info", "request_id": "mine"}
    assert "ValueError: invalid literal" in broken["exception"]
    assert (theirs["event"], theirs["level"], theirs["request_id"]) == ("a library's word", "warning", "mine")


def test_text_is_for_people() -> None:
    plain = re.sub(r"\x1b\[[0-9;]*m", "", said("text"))
    assert re.search(r"\[info +\] loaded +request_id=mine version=3\n", plain)
    assert "\nValueError: invalid literal" in plain
    assert re.search(r"\[warning +\] a library's word +request_id=mine", plain)
