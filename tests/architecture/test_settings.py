"""Every setting is documented, and no document names a setting that does not exist."""

import re
from dataclasses import fields
from pathlib import Path

from shared.settings import Settings


def test_every_setting_stands_in_the_example_and_in_the_readme() -> None:
    example, readme = Path(".env.example").read_text(), Path("README.md").read_text()
    for setting in fields(Settings):
        variable = setting.metadata["variable"]
        default = setting.metadata["default"].replace("{state_dir}", ".tandem")
        assert f"# {variable}={default}\n" in example
        assert re.search(
            rf"^\| `{variable}` \| .*\| {re.escape(setting.metadata['meaning'])} \|$", readme, re.MULTILINE
        )


def test_the_documents_name_no_setting_that_does_not_exist() -> None:
    known = {setting.metadata["variable"] for setting in fields(Settings)}
    for document in (".env.example", "docker-compose.yml", "README.md"):
        assert set(re.findall(r"TANDEM_[A-Z_]+[A-Z]", Path(document).read_text())) <= known, document
