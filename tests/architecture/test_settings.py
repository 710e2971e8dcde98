"""Every setting is documented, and no document names a setting that does not exist."""

import re
from pathlib import Path

from shared.settings import Settings, variable_of

OF_THE_COMMAND = {"TANDEM_TOKEN", "TANDEM_URL"}  # see docs/cli.md: the services do not read them


def test_every_setting_is_in_the_example_and_in_the_readme() -> None:
    example, readme = Path(".env.example").read_text(), Path("README.md").read_text()
    for setting in Settings.model_fields.values():
        variable, meaning = variable_of(setting), setting.description
        assert meaning, variable
        entry = re.search(rf"^# {re.escape(meaning)}\n# {variable}=(.*)$", example, re.MULTILINE)
        assert entry, variable
        default = entry[1]
        assert Settings.from_env({variable: default}) == Settings.from_env({}), f"{default} is not its default"
        shown = f"`{default}`" if default else ""
        assert f"| `{variable}` | {shown} | {meaning} |\n" in readme, variable


def test_the_documents_name_no_setting_that_does_not_exist() -> None:
    known = {variable_of(setting) for setting in Settings.model_fields.values()} | OF_THE_COMMAND
    for document in (".env.example", "docker-compose.yml", "README.md"):
        assert set(re.findall(r"TANDEM_[A-Z0-9_]+[A-Z0-9]", Path(document).read_text())) <= known, document
