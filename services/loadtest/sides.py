"""The sides of a load test: the backends that are compared, and the blocks that were measured of each.

Every side gets the same images at the same times. The sides take turns in balanced order (A B, B A, B A, A B, ...), so
that a machine that becomes slower affects all sides alike.
"""

import io
import time

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from services.loadtest.generator import Block, BlockPlan, run_block
from services.loadtest.predictors import (
    Predictors,
    add_peak_memory,
    compute_cpu_seconds,
    fetch_predictors,
    have_changed,
)
from services.loadtest.results import MeasuredBlock
from shared.data import batches, datasets
from shared.errors import UnavailableError
from shared.jobs.credentials import issue_credential
from shared.jobs.loadtests import LoadTestJob, Progress, Scenario
from shared.jobs.run_state import Run
from shared.jobs.signing import signing_key
from shared.settings import Settings

MAX_TEST_IMAGES = 1024
WARM_UP_REQUESTS = 200  # each is sent when the one before has been answered
WARM_UP_S = 60


class Sides:
    """Sends blocks of requests to the sides of one load test, and keeps what was measured.

    Attributes:
        names: the sides, in the order of the request.
        measured: side -> target_qps (None if the scenario has no rate) -> blocks, in the order in which they ran.
        planned_blocks: about how many blocks there will be; used only for the reported progress.
    """

    def __init__(self, settings: Settings, run: Run, job: LoadTestJob) -> None:
        """Read and encode the images that will be sent.

        Args:
            settings: where the gateway and the data are.
            run: where progress is reported.
            job: what to measure.
        """
        self.names = list(job.sides)
        self.measured: dict[str, dict[float | None, list[MeasuredBlock]]] = {side: {} for side in job.sides}
        self.planned_blocks = 0
        self._gateway_url = settings.url_of_gateway
        expires_s = time.time() + settings.job_timeout_s
        credential = issue_credential("loadtest", signing_key(settings.key_file), expires_s)
        self._headers = {"Authorization": f"Bearer {credential}"}
        self._run = run
        self._job = job
        self._images = encode_test_images(job.dataset, settings, job.request.seed)
        self._start_s = time.perf_counter()
        self._finished_blocks = 0
        self._known: dict[str, Predictors] = {}  # side -> its predictors, with the last process of each

    def order_in_round(self, number: int) -> list[str]:
        """Return the order of the sides in a round; over the rounds, each is first and last equally often."""
        rotation = number // 2 % len(self.names)
        order = self.names[rotation:] + self.names[:rotation]
        return order[::-1] if number % 2 else order

    def warm_up(self, side: str) -> float:
        """Send requests that are not counted, so that the side has loaded its model and its code is warm.

        Returns:
            The requests per second that the side answers one after the other.

        Raises:
            UnavailableError: the side answered no request with 200, or the load generator's process died.
        """
        block = self._send_block(side, "single_stream", 1, WARM_UP_REQUESTS, WARM_UP_S, 0)
        if block.is_lost:
            raise UnavailableError(f"{block.fault}: the load tester's log shows why")
        if not block.is_answered.any():
            raise UnavailableError(f"{side} answered none of the warm-up requests: check that its predictor is up")
        return len(block.done_s) / float(block.done_s.max())

    def measure(self, side: str, target_qps: float | None, queries: int, duration_s: float, seed: int) -> MeasuredBlock:
        """Measure one block, keep it in `measured` and return it.

        Args:
            side: the side to measure.
            target_qps: the rate; None if the scenario has none.
            queries: number of requests.
            duration_s: about how long the block takes.
            seed: number of the arrivals. Sides that are measured with the same number get the same arrivals.

        Raises:
            SupersededError: the load test was cancelled.
        """
        scenario = self._job.request.scenario
        self._report_progress(f"{side}, {scenario}" + (f" at {target_qps:,.0f}/s" if target_qps else ""))
        start_s = time.perf_counter() - self._start_s
        before = self.fetch_predictors(side)
        block = self._send_block(side, scenario, target_qps or 1.0, queries, duration_s, seed)
        after = self.fetch_predictors(side)
        measured = MeasuredBlock(
            block,
            start_s,
            compute_cpu_seconds(before, after),
            add_peak_memory(after),
            have_predictors_changed=self._note_changes(side, before, after),
        )
        self.measured[side].setdefault(target_qps, []).append(measured)
        self._finished_blocks += 1
        return measured

    def _note_changes(self, side: str, *reports: Predictors) -> bool:
        """Return whether a side's predictors have changed since the last report, and remember the newest ones."""
        is_changed = False
        for report in filter(None, reports):
            known = self._known.get(side, {})
            is_changed |= have_changed(known, report)
            self._known[side] = {address: process or known.get(address) for address, process in report.items()}
        return is_changed

    def fetch_predictors(self, side: str) -> Predictors:
        """Ask the gateway for a side's predictors. Return none if it does not answer."""
        return fetch_predictors(self._gateway_url, self._headers, self._job.sides[side])

    def _report_progress(self, doing: str) -> None:
        done = self._finished_blocks
        progress = Progress(done=done, of=max(self.planned_blocks, done + 1), doing=doing)
        self._run.report(progress=progress.model_dump(mode="json"))

    def _send_block(
        self, side: str, scenario: Scenario, qps: float, queries: int, duration_s: float, seed: int
    ) -> Block:
        job = self._job
        path = f"/v1/predictions?model={job.model}&version={job.version}&backends={job.sides[side]}"
        seed = int(np.random.SeedSequence([job.request.seed, seed]).generate_state(1)[0])
        plan = BlockPlan(scenario, f"{self._gateway_url}{path}", qps, queries, duration_s, seed, self._headers)
        return run_block(plan, self._images)


def encode_test_images(dataset_name: str, settings: Settings, seed: int) -> list[bytes]:
    """Return at most 1,024 images of a dataset's test split as PNG files, such as a user would post.

    Args:
        dataset_name: name of the dataset.
        settings: where the data is.
        seed: decides which images are chosen, and their order.
    """
    dataset = datasets.find(dataset_name, settings)
    datasets.ensure_cached(dataset, settings)
    images = datasets.read(dataset, "test", settings).images
    chosen = batches.draw_order(seed, 0, len(images))[:MAX_TEST_IMAGES]
    return [_encode_png(image) for image in images[chosen]]


def _encode_png(image: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(file, "PNG")
    return file.getvalue()
