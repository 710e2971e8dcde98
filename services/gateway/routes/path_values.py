"""What ids and names in paths look like. A value that cannot exist is a 404, and reaches neither Redis nor the disk."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from shared.errors import NotFoundError
from shared.names import NAME

ID_PATTERN = "[0-9a-f]{32}"
# A name, or a name and a backend's name with a hyphen between them.
TITLE_PATTERN = "[a-z0-9][a-z0-9_-]{0,126}"
NAME_RULE = "a name begins with a letter or digit, and has only a-z, 0-9, '_' and '-'"


def _matching(pattern: str, kind: str, rule: str) -> AfterValidator:
    """Return a validator that raises NotFoundError for a text that does not match.

    Args:
        pattern: what the whole text has to match.
        kind: what the text names, for the message.
        rule: the pattern in words.
    """
    compiled = re.compile(pattern)

    def check(text: str) -> str:
        if not compiled.fullmatch(text):
            raise NotFoundError(f"there is no {kind} {text[:80]!r}: {rule}")
        return text

    return AfterValidator(check)


def _described(pattern: str) -> object:
    """Return a field whose OpenAPI description has the pattern, which the validator checks."""
    return Field(json_schema_extra={"pattern": f"^{pattern}$"})


WorkId = Annotated[
    str, _described(ID_PATTERN), _matching(ID_PATTERN, "work with the id", "an id has 32 digits 0-9, a-f")
]
ModelTitle = Annotated[str, _described(TITLE_PATTERN), _matching(TITLE_PATTERN, "model", NAME_RULE)]
BackendName = Annotated[str, _described(NAME.pattern), _matching(NAME.pattern, "backend", NAME_RULE)]
DatasetName = Annotated[str, _described(NAME.pattern), _matching(NAME.pattern, "dataset", NAME_RULE)]
