"""The types with which a request names a version of a model: a number, or the alias `stable`.

In JSON a number is a number: use `Version`. In a path or a query it is a text: use `VersionText`.
"""

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

Alias = Literal["stable"]


def _number_or_alias(value: object) -> str:
    """Return which member of the union validates a value, so that an error mentions only that one."""
    return "alias" if isinstance(value, str) and value[:1].isalpha() else "number"


_EITHER = Discriminator(_number_or_alias)
_MEANING = Field(
    description="a version number, or the alias `stable`; null means the newest version that all the backends have"
)

VersionText = Annotated[
    Annotated[int, Field(ge=1, lt=2**63), Tag("number")] | Annotated[Alias, Tag("alias")], _EITHER, _MEANING
]
Version = Annotated[
    Annotated[int, Field(strict=True, ge=1), Tag("number")] | Annotated[Alias, Tag("alias")], _EITHER, _MEANING
]
