"""The documents: their links work and their lines are short."""

import re

from tests.architecture.source_files import assert_none, list_files

MOST_CHARACTERS = 100
ADDRESS = re.compile(r"<?https?://[^\s>)]+>?")


def test_every_link_to_a_file_works() -> None:
    offenders = [
        f"{document}: {target}"
        for document in list_files("*.md")
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text())
        if not (document.parent / target).exists()
    ]
    assert_none(offenders, "A link leads to a file of the project")


def test_no_line_of_a_document_is_too_long() -> None:
    """Rows of tables count, too. Only the addresses of links to other sites do not, because they cannot be broken."""
    offenders = [
        f"{document}:{number}: {len(line)} characters"
        for document in list_files("*.md")
        for number, line in enumerate(document.read_text().splitlines(), 1)
        if len(ADDRESS.sub("", line)) > MOST_CHARACTERS
    ]
    assert_none(offenders, f"A line of a document has at most {MOST_CHARACTERS} characters")
