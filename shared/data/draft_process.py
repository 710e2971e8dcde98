"""Runs `upload_draft.py` in a process of its own, with a lower priority than predictions.

Decoding thousands of pictures keeps a core busy for minutes. In the gateway's process it would delay the event loop.

    python -m shared.data.draft_process <zip file> <name> <folder to make> <time>
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic

from shared.data.upload_draft import write_draft
from shared.data.uploaded_datasets import UploadRecord
from shared.errors import InvalidDatasetError, UnavailableError
from shared.process import end_with_parent

NICENESS = 10  # 0 is the default, and 19 the lowest priority
ASK_EVERY_S = 1.0
TIMEOUT_S = 900  # the limits of `upload_draft.py` are reached much earlier


def write_draft_in_process(
    zip_file: Path, name: str, draft: Path, uploaded_at: str, is_wanted: Callable[[], bool]
) -> UploadRecord:
    """Do as `write_draft`, in a process of its own. The first four arguments and the errors are the same.

    Args:
        is_wanted: asked about once a second. When it returns False, the process is ended.

    Raises:
        UnavailableError: the process died, did not end in time, or is not wanted any more.
    """
    command = [sys.executable, "-m", "shared.data.draft_process", str(zip_file), name, str(draft), uploaded_at]
    try:
        answer = json.loads(_run(command, is_wanted))
    except (subprocess.TimeoutExpired, ValueError):
        raise UnavailableError("the pictures could not be decoded: upload fewer or smaller pictures") from None
    if "refusal" in answer:
        raise InvalidDatasetError(answer["refusal"])
    if "errno" in answer:
        raise OSError(answer["errno"], os.strerror(answer["errno"]))
    return UploadRecord.model_validate(answer)


def _run(command: list[str], is_wanted: Callable[[], bool]) -> bytes:
    """Run a command, and return what it printed.

    Raises:
        UnavailableError: it is not wanted any more.
        TimeoutExpired: it did not end in time.
    """
    end_s = monotonic() + TIMEOUT_S
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        try:
            while is_wanted():
                try:
                    return process.communicate(timeout=ASK_EVERY_S)[0]
                except subprocess.TimeoutExpired:
                    if monotonic() > end_s:
                        raise
        finally:
            process.kill()  # has no effect on a process that has ended
    raise UnavailableError("the client left before the upload was stored, so it was not stored: upload it again")


def main(zip_file: str, name: str, draft: str, uploaded_at: str) -> None:
    """Write a draft, and print its record, or why there is none, as JSON."""
    end_with_parent(signal.SIGKILL)
    os.nice(NICENESS)
    try:
        print(write_draft(Path(zip_file), name, Path(draft), uploaded_at).model_dump_json())
    except InvalidDatasetError as error:
        print(json.dumps({"refusal": str(error)}))
    except OSError as error:
        print(json.dumps({"errno": error.errno}))


if __name__ == "__main__":
    main(*sys.argv[1:])
