"""How Redis tells that a job has changed: an entry in one short stream, with the key of the record or of the run.

    tandem:changes      stream: the newest changes of all jobs

The scripts and the transaction that change a job add the entry in the same atomic step. Old entries are dropped, so who
listens also reads the job again every few seconds.
"""

from collections.abc import Mapping
from typing import Final

CHANGES_KEY: Final = "tandem:changes"
MAX_CHANGES: Final = 1000  # that the stream keeps, about
FIELD: Final = "key"  # of an entry
# For Lua scripts. A service that may not write the stream changes its job all the same.
SIGNAL_LUA: Final = f"redis.pcall('XADD', '{CHANGES_KEY}', 'MAXLEN', '~', {MAX_CHANGES}, '*', '{FIELD}', KEYS[1])"


def parse_change(entry: Mapping[bytes, bytes]) -> tuple[str, str] | None:
    """Return the kind and the id of the job that an entry is about, or None for a malformed entry."""
    parts = entry.get(FIELD.encode(), b"").decode(errors="replace").split(":")
    return (parts[1], parts[2]) if len(parts) > 2 and parts[0] == "tandem" else None
