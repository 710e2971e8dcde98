"""Headers of every response, which limit what a browser does with it. A route may set one of them to another value."""

from multidict import istr

# Most responses are data and no pages, so a browser may load nothing because of them.
CONTENT_SECURITY_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
SECURITY_HEADERS = (
    (istr("Cache-Control"), "no-store"),
    (istr("Content-Security-Policy"), CONTENT_SECURITY_POLICY),
    (istr("Cross-Origin-Resource-Policy"), "same-origin"),
    (istr("Referrer-Policy"), "no-referrer"),
    (istr("Server"), "tandem"),  # aiohttp would name the versions of Python and of itself
    (istr("X-Content-Type-Options"), "nosniff"),
    (istr("X-Frame-Options"), "DENY"),
)
