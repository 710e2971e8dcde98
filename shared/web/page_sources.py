"""Removes from the page's own scripts and styles what only readers of the repository need: comments and spaces.

Browsers get the smaller files, both from the gateway and in models exported as HTML. This module does no I/O.
"""

import re

# A comment with its line, the indentation of a line, and a comment behind code. Only a parser could tell a comment from
# a text, so no text of a module may contain what looks like one; a test checks it.
JS_COMMENTS = re.compile(rb"^[ ]*(?://.*|/\*[\s\S]*?\*/[ ]*)\n|^[ ]+|[ ]+// .*$", re.MULTILINE)
CSS_COMMENTS = re.compile(rb"/\*[\s\S]*?\*/\s*")
CSS_SPACES = re.compile(rb"\s*([{};])\s*|(?<=:) ")  # around rules and declarations


def shorten_script(content: bytes) -> bytes:
    """Return a JavaScript module without comments and indentation."""
    return JS_COMMENTS.sub(b"", content)


def shorten_style(content: bytes) -> bytes:
    """Return a style sheet without comments and without spaces around rules and declarations."""
    return CSS_SPACES.sub(rb"\1", CSS_COMMENTS.sub(b"", content))
