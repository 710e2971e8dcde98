"""How much decoding one request, one client and all clients together may ask for.

A limit on bytes does not limit the work of decoding: a PNG of 6 kB can hold 49 million pixels. Decoding a million
pixels takes 5 to 20 ms. One thread decodes large pictures one after the other. So the pixels that are counted here
decide how long others wait.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from shared.errors import InvalidImageError, UnavailableError
from shared.web.shared_figures import SharedUse

# Of all pictures of a request: two photographs of 48 megapixels, or 64 of 1.5 megapixels.
MAX_REQUEST_PIXELS = 100_000_000
MAX_CALLER_PIXELS = 200_000_000  # Of all pictures of a client that wait for decoding or are decoded.
MAX_TOTAL_PIXELS = 400_000_000  # Of all clients.
SMALL_PIXELS = 1_000_000  # A request with fewer pixels is let in whatever the others ask for.


class DecodeBudget:
    """Counts the pixels of pictures that wait for decoding or are decoded. It is used on the event loop only.

    Args:
        max_request: pixels of one request.
        max_caller: pixels of one client.
        max_total: pixels of all clients.
        shared: pixels of all processes, if there are several. The limits then hold for all together. Requests of up to
            SMALL_PIXELS are not published.
    """

    def __init__(
        self,
        max_request: int = MAX_REQUEST_PIXELS,
        max_caller: int = MAX_CALLER_PIXELS,
        max_total: int = MAX_TOTAL_PIXELS,
        shared: SharedUse | None = None,
    ) -> None:
        self._max_request, self._max_caller, self._max_total = max_request, max_caller, max_total
        self._by_caller: Counter[str] = Counter()
        self._total = 0
        self._shared = shared

    @contextmanager
    def reserve(self, caller: str, pixels: int) -> Iterator[None]:
        """Count the pixels of a request while the `with` block runs.

        Args:
            caller: the key of the client.
            pixels: of all pictures of the request: the sum of `OpenedPicture.work`.

        Raises:
            InvalidImageError: a request may not have as many.
            UnavailableError: the client, or all clients together, have too many already.
        """
        if pixels > self._max_request:
            raise InvalidImageError(
                f"the pictures have {pixels:,} pixels together, and a request may have {self._max_request:,}: "
                "send smaller pictures, or several requests"
            )
        caller_pixels, total = self._by_caller[caller] + pixels, self._total + pixels
        shared = self._shared if pixels > SMALL_PIXELS else None
        if shared is not None:
            elsewhere = shared.read_elsewhere(caller)
            caller_pixels, total = caller_pixels + elsewhere[0], total + elsewhere[1]
        if caller_pixels > self._max_caller:
            raise UnavailableError("too many of your pictures wait: send the next one after an answer")
        if pixels > SMALL_PIXELS and total > self._max_total:
            raise UnavailableError("too many large pictures wait: try again in a moment")
        self._by_caller[caller] += pixels
        self._total += pixels
        if shared is not None:
            shared.add(caller, pixels)
        try:
            yield
        finally:
            if shared is not None:
                shared.add(caller, -pixels)
            self._total -= pixels
            self._by_caller[caller] -= pixels
            if not self._by_caller[caller]:
                del self._by_caller[caller]
