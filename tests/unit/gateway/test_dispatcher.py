"""The dispatcher keeps nothing of models that nobody requests."""

import asyncio
from pathlib import Path

import numpy as np

from services.gateway.prediction.dispatcher import Dispatcher
from services.gateway.prediction.outcomes import Failure
from shared.settings import Settings

BACKENDS = ("tensorflow", "pytorch")


def test_a_backend_that_is_down_is_a_failure_and_no_batcher_stays_behind(tmp_path: Path) -> None:
    """Nothing listens on port 1 of this machine."""
    settings = Settings.from_env({"TANDEM_STATE_DIR": str(tmp_path), "TANDEM_PREDICTOR_URL": "http://127.0.0.1:1"})
    dispatcher = Dispatcher(settings)
    images = np.zeros((1, 28, 28, 1), np.uint8)

    async def request_many_models() -> None:
        for version in range(1, 20):
            calls = [dispatcher.predict(BACKENDS, "m", version, images) for _ in range(3)]
            for outcomes in await asyncio.gather(*calls):
                assert all(isinstance(outcome, Failure) for outcome in outcomes.values())
                assert set(outcomes) == set(BACKENDS)

    asyncio.run(request_many_models())
    assert dispatcher._batchers == {}
    assert dispatcher.count_waiting("pytorch") == (0, 0.0)
