"""The credentials of an object store, from the file that Amazon's tools use."""

import configparser
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from obstore.store import S3Credential

KEPT_S = 300  # the file is read again, because an operator may replace it
KEY_ID = "aws_access_key_id"


class FileCredentials:
    """Reads the credentials of a profile. The library asks again when they expire.

    Args:
        path: the file.
        profile: the part of the file.
    """

    def __init__(self, path: Path, profile: str) -> None:
        self._path, self._profile = path, profile

    def __call__(self) -> "S3Credential":
        """Return the credentials that the file has now."""
        profile = self.read()
        return {
            "access_key_id": profile[KEY_ID],
            "secret_access_key": profile["aws_secret_access_key"],
            "token": profile.get("aws_session_token") or None,
            "expires_at": datetime.now(UTC) + timedelta(seconds=KEPT_S),
        }

    def read(self) -> dict[str, str]:
        """Return the names and values of the profile; none if the file has no such profile."""
        entries = configparser.ConfigParser(interpolation=None)  # a secret may contain a percent sign
        entries.read_string(self._path.read_text())
        return dict(entries[self._profile]) if entries.has_section(self._profile) else {}


def find_file_credentials() -> FileCredentials | None:
    """Return the credentials of a file, or None if the library finds credentials elsewhere.

    As in Amazon's tools, keys in variables come before the file, and so does a web identity. If the file has no keys
    for the profile, the roles of machines and containers are used.
    """
    if os.environ.get("AWS_ACCESS_KEY_ID") or os.environ.get("AWS_WEB_IDENTITY_TOKEN_FILE"):
        return None
    named = os.environ.get("AWS_SHARED_CREDENTIALS_FILE")
    path = Path(named) if named else Path("~/.aws/credentials").expanduser()
    if not path.is_file():
        return None
    found = FileCredentials(path, os.environ.get("AWS_PROFILE") or "default")
    return found if KEY_ID in found.read() else None
