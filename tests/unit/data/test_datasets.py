"""Datasets are found by name."""

from pathlib import Path

import pytest

from shared.data import datasets
from shared.errors import InvalidRequestError
from shared.settings import Settings


def test_the_error_for_an_unknown_dataset_lists_the_known_ones(tmp_path: Path) -> None:
    settings = Settings.from_env({"TANDEM_DATA_DIR": str(tmp_path)})
    with pytest.raises(InvalidRequestError, match="mnist, fashion-mnist, digits"):
        datasets.find("imagenet", settings)


def test_the_command_reports_that_a_dataset_is_ready(capsys: pytest.CaptureFixture[str]) -> None:
    assert datasets.main(["digits"]) == 0
    assert capsys.readouterr().out == "dataset digits: ready\n"
