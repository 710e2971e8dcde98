"""Each of import-linter's contracts in pyproject.toml is effective: a violation breaks it."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.architecture.source_files import list_product_modules

CONFIGURATION = tomllib.loads(Path("pyproject.toml").read_text())["tool"]["importlinter"]

# For each contract one import that it forbids: (file, line to append).
VIOLATIONS = {
    "shared never imports services or a framework": ("shared/names.py", "import torch"),
    "no service imports another": ("services/cli/client.py", "import services.stack.stack"),
    "only services/tensorflow imports TensorFlow": ("services/pytorch/layers.py", "import keras"),
    "only services/pytorch imports torch": ("services/tensorflow/layers.py", "import torch"),
    "the layers of shared": ("shared/data/images.py", "import shared.models.registry"),
    "the layers of the gateway": ("services/gateway/reports/plots.py", "import services.gateway.context"),
    "these modules do no I/O": ("shared/network/weights.py", "import subprocess"),
}


def test_every_contract_has_a_violation_in_this_file() -> None:
    assert {contract["name"] for contract in CONFIGURATION["contracts"]} == set(VIOLATIONS)


@pytest.mark.parametrize("name", VIOLATIONS)
def test_a_violation_breaks_its_contract(name: str, tmp_path: Path) -> None:
    for path in list_product_modules():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, tmp_path / path)
    shutil.copyfile("pyproject.toml", tmp_path / "pyproject.toml")
    file, line = VIOLATIONS[name]
    with (tmp_path / file).open("a") as module:
        module.write(f"\n{line}\n")
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    environ = {**os.environ, "NO_COLOR": "1", "COLUMNS": "200"}
    answer = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    assert f"{name} BROKEN" in answer.stdout, answer.stdout + answer.stderr


def test_no_contract_has_an_exception() -> None:
    for contract in CONFIGURATION["contracts"]:
        assert not {"ignore_imports", "exhaustive_ignores", "unmatched_ignore_imports_alerting"} & contract.keys()


def test_the_contracts_about_services_name_every_service() -> None:
    services = {f"services.{path.parent.name}" for path in Path("services").glob("*/__init__.py")}
    contracts = {contract["name"]: contract for contract in CONFIGURATION["contracts"]}
    assert set(contracts["no service imports another"]["modules"]) == services
    for framework, name in (("tensorflow", "TensorFlow"), ("pytorch", "torch")):
        contract = contracts[f"only services/{framework} imports {name}"]
        assert set(contract["source_modules"]) == services - {f"services.{framework}"}
