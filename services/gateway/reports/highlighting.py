"""Python source as lines of tokens, so that a page can colour it without reading Python itself."""

from typing import Literal, NamedTuple

from pygments.lexers.python import PythonLexer
from pygments.token import Comment, Keyword, Name, Number, Operator, String, _TokenType

TokenKind = Literal["", "builtin", "comment", "decorator", "function", "keyword", "number", "string"]
# The first row that contains a token's type decides. Pygments has more types than a page needs colours.
_KINDS: tuple[tuple[_TokenType, TokenKind], ...] = (
    (Comment, "comment"),
    (String, "string"),
    (Number, "number"),
    (Keyword, "keyword"),
    (Operator.Word, "keyword"),
    (Name.Decorator, "decorator"),
    (Name.Function, "function"),
    (Name.Class, "function"),
    (Name.Builtin, "builtin"),
)


class CodeToken(NamedTuple):
    """A piece of one source line. `kind` is empty for text without a colour of its own."""

    kind: TokenKind
    text: str


def highlight_python(source: str) -> list[list[CodeToken]]:
    """Return the tokens of each line of a Python file.

    The texts of a line's tokens, joined, are the line without its end. Neighbours of the same kind are one token.

    Args:
        source: any text. Text that is not valid Python is returned, too.
    """
    lines: list[list[CodeToken]] = [[]]
    for _, token_type, text in PythonLexer().get_tokens_unprocessed(source):
        first, *following = text.split("\n")
        _append_token(lines[-1], _kind_of(token_type), first)
        for part in following:
            lines.append([])
            _append_token(lines[-1], _kind_of(token_type), part)
    if source.endswith("\n") or not source:
        lines.pop()  # what follows the last line's end is no line
    return lines


def _append_token(line: list[CodeToken], kind: TokenKind, text: str) -> None:
    if line and (line[-1].kind == kind or not text.strip()):
        line[-1] = CodeToken(line[-1].kind, line[-1].text + text)
    elif text:
        line.append(CodeToken(kind, text))


def _kind_of(token_type: _TokenType) -> TokenKind:
    return next((kind for parent, kind in _KINDS if token_type in parent), "")
