"""The command accepts every command line of the documents. Stack tests also run those of docs/cli.md."""

import re
import shlex
from pathlib import Path

from tests.unit.cli.fake_gateway import fake_gateway

ROOT = Path(__file__).parents[3]
# `./tandem ...` at the beginning of a line, or in backquotes. Lines that read or write other files are left out.
COMMAND = re.compile(r"(?m)(?:^|`)\./tandem ([^`\n]+)")
WRONG_USAGE = 2


def read_commands() -> dict[str, str]:
    """Return the documents' command lines, each with the name of a page that has it."""
    pages = [ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("*/README.md")]
    found = {line.strip(): page.name for page in pages for line in COMMAND.findall(page.read_text(encoding="utf-8"))}
    return {line: page for line, page in found.items() if not re.search("[<>$]|/tmp/|COMMAND", line)}


def test_the_command_accepts_every_command_line_of_the_documents() -> None:
    commands = read_commands()
    assert len(commands) > 20
    with fake_gateway({}) as gateway:
        for line, page in commands.items():
            answer = gateway.run(*shlex.split(line, comments=True), stdin=b"{}")
            assert answer.exit_code != WRONG_USAGE, f"{page}: tandem {line}: {answer.stderr}"
