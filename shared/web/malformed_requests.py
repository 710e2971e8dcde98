"""Says in Tandem's own words why a request is not valid HTTP. aiohttp's messages quote the request."""

from aiohttp.http_exceptions import (
    BadHttpMessage,
    BadHttpMethod,
    BadStatusLine,
    ContentLengthError,
    InvalidHeader,
    InvalidURLError,
    LineTooLong,
    TransferEncodingError,
)

MAX_HEADER_BYTES = 32 * 2**10  # of the request line, and of each header; browsers send cookies of over 8 kB

WORDS_BY_TYPE = (
    (LineTooLong, f"its first line or a header has more than {MAX_HEADER_BYTES:,} bytes"),
    (InvalidHeader, "a header is malformed"),
    (InvalidURLError, "its address is malformed"),
    (BadHttpMethod, "its method is unknown; if the address begins with https, use http"),
    (BadStatusLine, "its first line is malformed"),
    (TransferEncodingError, "its Transfer-Encoding or a chunk is malformed"),
    (ContentLengthError, "its body is incomplete"),
)
# For errors without a type of their own: how aiohttp's message begins -> words.
WORDS_BY_MESSAGE = {
    "Too many headers": "it has too many headers",
    "Duplicate": "a header that may occur once occurs twice",
    "Missing 'Host'": "it has no Host header",
}


def describe_malformed_request(error: BaseException | None) -> str:
    """Return why aiohttp could not read a request."""
    for kind, words in WORDS_BY_TYPE:
        if isinstance(error, kind):
            return words
    if isinstance(error, BadHttpMessage):
        for begin, words in WORDS_BY_MESSAGE.items():
            if error.message.startswith(begin):
                return words
    return "it is malformed"
