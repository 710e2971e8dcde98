"""How Redis tells that a job has changed: a message on one channel, with the key of the record or of the run.

The scripts and the transaction that change a job publish the message in the same atomic step. A message may be lost,
because Redis stores none. Therefore who listens also reads the job again every few seconds.
"""

from typing import Final

CHANNEL: Final = "tandem:changes"
# For Lua scripts. A service whose Redis does not let it publish still writes: its messages are missing then.
PUBLISH_LUA: Final = f"redis.pcall('PUBLISH', '{CHANNEL}', KEYS[1]) "


def parse_change(message: bytes) -> tuple[str, str] | None:
    """Return the kind and the id of the job that a message is about, or None for a malformed message."""
    parts = message.decode(errors="replace").split(":")
    return (parts[1], parts[2]) if len(parts) > 2 and parts[0] == "tandem" else None
