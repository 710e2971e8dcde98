"""Says in Tandem's own words which fields of a request are wrong and why. pydantic only finds the errors.

The words depend on the kind of an error, which pydantic keeps stable. Its messages never reach a client.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from shared.network.layers import LAYER_KINDS

MAX_FIELD_LENGTH = 80  # of a field's name in an error message; clients can make up any name
MAX_REASONS = 20  # invalid fields that an error message lists
MAX_ERRORS = 500  # if there are more invalid fields, none is listed: pydantic would describe all of them first
# Names of alternatives that pydantic lists among a field's parents. They say nothing to a client.
UNION_TAGS = (
    *("preset", "described", "number", "alias", *LAYER_KINDS, "sgd", "adam"),
    *("named", "spelled", "families", "networks", "choices", "mlp", "cnn", "domain", "value", "whole"),
)

# Kind of error -> words. Names in braces are filled in from the error's context.
WORDS = {
    "missing": "this field is required",
    "extra_forbidden": "there is no such field here",
    "none_required": "must be null",
    "model_type": "must be a JSON object",
    "model_attributes_type": "must be a JSON object",
    "dict_type": "must be a JSON object",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "too_short": "needs at least {min_length} items, but has {actual_length}",
    "too_long": "may have at most {max_length} items, but has {actual_length}",
    "string_type": "must be a text",
    "string_too_short": "needs at least {min_length} characters",
    "string_too_long": "may have at most {max_length} characters",
    "string_pattern_mismatch": "must match the pattern {pattern}",
    "string_unicode": "must be valid UTF-8",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing_size": "the number has too many digits",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
    "union_tag_invalid": "must be one of {expected_tags}",
    "union_tag_not_found": "its kind is missing",
}
OTHER = "the value is not valid here"
BODY_KINDS = ("model_type", "model_attributes_type")


def describe_field_errors(error: ValidationError) -> str:
    """Return one sentence for each of the first MAX_REASONS invalid fields. It begins with the field's name."""
    if error.error_count() > MAX_ERRORS:
        return f"{error.error_count():,} fields are invalid"
    reasons = []
    for part in error.errors(include_url=False, include_input=False)[:MAX_REASONS]:
        if part["type"] in BODY_KINDS and not part["loc"]:
            return "the body must be a JSON object"
        if part["type"] == "too_short" and error.error_count() > 1:
            continue  # pydantic counts only the valid items; the other errors name the invalid ones
        where = ".".join(str(step)[:MAX_FIELD_LENGTH] for step in part["loc"] if step not in UNION_TAGS)
        reasons.append(f"{where or 'body'}: {_words(part['type'], part.get('ctx', {}))}")
    if error.error_count() > MAX_REASONS:
        reasons.append(f"and {error.error_count() - MAX_REASONS} more")
    return "; ".join(dict.fromkeys(reasons))


def _words(kind: str, context: Mapping[str, Any]) -> str:
    """Return why a field is wrong.

    Args:
        kind: the kind of the error; `value_error` carries a message of Tandem.
        context: what pydantic says about it, such as a limit.
    """
    if kind == "value_error":
        return str(context["error"])
    return WORDS.get(kind, OTHER).format_map(context)
