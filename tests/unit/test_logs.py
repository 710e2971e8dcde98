"""Log lines and request ids: which ids are accepted, which are replaced, and where they appear."""

import json
import re
import subprocess
import sys

SCRIPT = """
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


def run_script(form: str) -> str:
    """Return what a new process logs. A new one, because logs are configured once per process."""
    return subprocess.run([sys.executable, "-c", SCRIPT, form], stdout=subprocess.PIPE, text=True, check=True).stdout


def test_json_logs_have_one_line_per_event_with_its_request_id() -> None:
    ours, broken, theirs = map(json.loads, run_script("auto").splitlines())  # the output is a pipe, not a terminal
    assert ours.pop("timestamp").endswith("Z")
    assert ours == {"event": "loaded", "version": 3, "level": "info", "request_id": "mine"}
    assert "ValueError: invalid literal" in broken["exception"]
    assert (theirs["event"], theirs["level"], theirs["request_id"]) == ("a library's word", "warning", "mine")


def test_text_logs_show_the_same_fields() -> None:
    plain = re.sub(r"\x1b\[[0-9;]*m", "", run_script("text"))
    assert re.search(r"\[info +\] loaded +request_id=mine version=3\n", plain)
    assert "\nValueError: invalid literal" in plain
    assert re.search(r"\[warning +\] a library's word +request_id=mine", plain)
