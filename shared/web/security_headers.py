"""Headers of the gateway's responses, which limit what a browser does with them. A route may set others instead."""

from multidict import CIMultiDict

# Most responses are data and no pages, so a browser may load nothing because of them.
CONTENT_SECURITY_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
SECURITY_HEADERS = CIMultiDict(
    {
        "Cache-Control": "no-store",
        "Content-Security-Policy": CONTENT_SECURITY_POLICY,
        "Cross-Origin-Resource-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
        "Server": "tandem",  # aiohttp would name the versions of Python and of itself
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
    }
)
