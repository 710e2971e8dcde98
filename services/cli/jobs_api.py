"""What the command knows about jobs without asking a server: their kinds, statuses and paths."""

from urllib.parse import quote

KINDS = (
    *("trainings", "evaluations", "certificates", "loadtests", "searches", "releases", "exports", "transplants"),
    "deletions",
)
CANCELLABLE = ("trainings", "loadtests", "searches", "releases", "exports")
FINAL = ("succeeded", "failed", "cancelled")


def quote_part(text: str) -> str:
    """Return text as one part of a path: a slash or a question mark in it does not end the part."""
    return quote(text, safe="")
