"""Headers of the gateway's responses, which limit what a browser does with them. A route may set others instead."""

from collections.abc import Iterable, Mapping

from multidict import CIMultiDict

# Most responses are data and no pages, so a browser may load nothing because of them.
CONTENT_SECURITY_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
SECURITY_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Server": "tandem",  # aiohttp would name the versions of Python and of itself
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class DefaultHeaders:
    """Headers of each response of a server, unless its route sets them itself.

    Args:
        headers: by name.
    """

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = CIMultiDict(headers)
        self._all_lines = self._lines(())

    def add_to(self, own: "CIMultiDict[str]") -> None:
        """Add those that a response does not have."""
        own.merge(self._headers)

    def lines_for(self, own: Iterable[str]) -> str:
        """Return the lines of those that a response does not have, as HTTP/1.1 writes them.

        Args:
            own: the names of the headers that the response has.
        """
        present = [name for name in own if name in self._headers]
        return self._lines(present) if present else self._all_lines

    def _lines(self, present: Iterable[str]) -> str:
        absent = CIMultiDict(self._headers)
        for name in present:
            absent.popall(name, None)
        return "".join(f"{name}: {value}\r\n" for name, value in absent.items())
