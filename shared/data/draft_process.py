"""Runs `upload_draft.py` in a process of its own, with a lower priority than predictions.

Decoding thousands of pictures keeps a core busy for minutes. In the gateway's process it would delay the event loop.

    python -m shared.data.draft_process <zip file> <name> <folder to make> <time>
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from shared.data.upload_draft import write_draft
from shared.data.uploaded_datasets import UploadRecord
from shared.errors import InvalidDatasetError, UnavailableError
from shared.process import end_with_parent

NICENESS = 10  # 0 is the default, and 19 the lowest priority
TIMEOUT_S = 900  # the limits of `upload_draft.py` are reached much earlier


def write_draft_in_process(zip_file: Path, name: str, draft: Path, uploaded_at: str) -> UploadRecord:
    """Do as `write_draft`, in a process of its own. The arguments and errors are the same.

    Raises:
        UnavailableError: the process died, or did not end in time.
    """
    command = [sys.executable, "-m", "shared.data.draft_process", str(zip_file), name, str(draft), uploaded_at]
    try:
        ended = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=TIMEOUT_S, check=False
        )
        answer = json.loads(ended.stdout)
    except (subprocess.TimeoutExpired, ValueError):
        raise UnavailableError("the pictures could not be decoded: upload fewer or smaller pictures") from None
    if "refusal" in answer:
        raise InvalidDatasetError(answer["refusal"])
    if "errno" in answer:
        raise OSError(answer["errno"], os.strerror(answer["errno"]))
    return UploadRecord.model_validate(answer)


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
