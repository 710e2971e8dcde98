"""A trainer and a predictor have a setting each for their device. If there is no GPU, each names its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from redis import Redis

from shared.errors import UnavailableError
from shared.exports.export_store import ExportStore
from shared.exports.exporters import NEUTRAL_EXPORTERS
from shared.jobs.results import TrainingRun
from shared.jobs.run_state import Run
from shared.models.registry import ModelRegistry
from shared.settings import Settings
from shared.training.checkpoints import Checkpoints
from shared.training.context import JobContext
from tests.toy import backend

PREDICTOR = "from shared.serving import predictor; from tests.toy import backend; predictor.main(backend)"


def test_a_trainer_names_its_setting(redis: Redis, settings: Settings) -> None:
    folder = settings.model_dir
    settings = settings.model_copy(update={"device": "cuda"})
    stores = ModelRegistry(folder), Checkpoints(folder)
    context = JobContext(backend, settings, redis, *stores, lambda *_: None, ExportStore(folder), NEUTRAL_EXPORTERS)
    run = Run(redis, "training", "1", "toy", TrainingRun)
    with pytest.raises(UnavailableError, match=r"^TANDEM_DEVICE=cuda, but NumPy cannot use a GPU$"):
        context.configure(run, seed=0)


def test_a_predictor_names_its_setting(tmp_path: Path) -> None:
    devices = {"TANDEM_DEVICE": "cpu", "TANDEM_PREDICTION_DEVICE": "cuda"}
    environ = {**os.environ, "TANDEM_STATE_DIR": str(tmp_path), "TANDEM_BACKENDS": "toy", **devices}
    command = [sys.executable, "-c", PREDICTOR]
    ended = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr.endswith("UnavailableError: TANDEM_PREDICTION_DEVICE=cuda, but NumPy cannot use a GPU\n")
