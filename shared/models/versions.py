"""Which version of a model is meant: a number, or `stable`, the alias that is moved from one to another."""

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

Alias = Literal["stable"]


def _number_or_alias(value: object) -> str:
    """Told apart by hand, so that an error speaks only of the one that was meant."""
    return "alias" if isinstance(value, str) and value[:1].isalpha() else "number"


_EITHER = Discriminator(_number_or_alias)
_MEANING = Field(description="a number, or `stable`: what that alias means. None is the newest that all backends have")

# In a path or a query a number is a text, in JSON it is not.
VersionText = Annotated[
    Annotated[int, Field(ge=1, lt=2**63), Tag("number")] | Annotated[Alias, Tag("alias")], _EITHER, _MEANING
]
Version = Annotated[
    Annotated[int, Field(strict=True, ge=1), Tag("number")] | Annotated[Alias, Tag("alias")], _EITHER, _MEANING
]
