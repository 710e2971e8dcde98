"""Which server the command talks to, and with which access token."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from .client import Client

DEFAULT_URL = "http://127.0.0.1:8080"


@dataclass
class Target:
    """A server.

    Attributes:
        url: its URL, without a path.
        token: the access token, or None.
    """

    url: str
    token: str | None

    @cached_property
    def client(self) -> "Client":
        """A client of the server. It is made when it is first needed, because its import takes time."""
        from .client import Client

        return Client(self.url, self.token)


def parse_url(url: str) -> str:
    """Return the URL of a server. `http://` is added if it has no scheme.

    Raises:
        click.BadParameter: it is not a URL of HTTP.
    """
    from urllib.parse import urlsplit

    with_scheme = url if "://" in url else f"http://{url}"
    try:
        parts = urlsplit(with_scheme)
        is_usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        is_usable = is_usable and with_scheme.isprintable() and " " not in with_scheme
    except ValueError:
        is_usable = False
    if not is_usable:
        raise click.BadParameter(f"{url!r} is no address such as {DEFAULT_URL}", param_hint="--url")
    return with_scheme.rstrip("/")


def read_token(token: str | None, file: Path | None) -> str | None:
    """Return the access token: the given one, else the content of a file, else None.

    Raises:
        click.BadParameter: the file cannot be read, or the token has characters that no token has.
    """
    if token is None and file is not None:
        try:
            token = file.read_text().strip()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it is not text"
            raise click.BadParameter(f"{str(file)!r} cannot be read: {reason}", param_hint="--token-file") from None
        if not token:
            raise click.BadParameter(f"{str(file)!r} is empty", param_hint="--token-file")
    if token and not (token.isascii() and token.isprintable()):
        raise click.BadParameter("an access token has only ASCII letters and digits", param_hint="--token")
    return token or None
