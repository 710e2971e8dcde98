"""Files stay small enough to read at once, and data has types."""

from tests.architecture.source_files import assert_none, list_product_modules

MOST_LINES = 320
MOST_UNTYPED_LINES = 25


def test_no_product_file_is_too_long() -> None:
    sizes = {path: len(path.read_text().splitlines()) for path in list_product_modules()}
    offenders = [f"{path}: {size} lines" for path, size in sizes.items() if size > MOST_LINES]
    assert_none(offenders, f"A file of more than {MOST_LINES} lines has a second responsibility")


def test_untyped_dictionaries_occur_only_where_json_is_parsed_or_written() -> None:
    lines = [
        f"{path}:{number}: {line.strip()}"
        for path in list_product_modules()
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if "dict[str, Any]" in line
    ]
    if len(lines) > MOST_UNTYPED_LINES:
        assert_none(lines, f"dict[str, Any] may stand on {MOST_UNTYPED_LINES} lines; use a class elsewhere")
