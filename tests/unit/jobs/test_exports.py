"""The job of an export: what is accepted, what is rejected and with which figures, and what is left on the volume."""

import resource
import signal
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from redis import Redis

from shared.data import datasets
from shared.errors import ConflictError, NotFoundError, RejectedExportError, SupersededError, UnavailableError
from shared.exports.export_store import ExportStore
from shared.exports.exporters import NEUTRAL_EXPORTERS, Exporter
from shared.exports.onnx_model import write_onnx
from shared.exports.stored_exports import open_exports
from shared.jobs.job_queue import JobQueue
from shared.jobs.kinds import EXPORT
from shared.jobs.payloads import ExportJob
from shared.jobs.results import ExportRun
from shared.jobs.run_state import QUEUED, Run
from shared.models.manifest import DataFingerprints
from shared.models.registry import ModelRegistry, VerifiedModel
from shared.network.description import PRESETS
from shared.settings import Settings
from shared.training.checkpoints import Checkpoints
from shared.training.context import JobContext
from shared.training.export import export
from tests.backend.random_examples import random_weights
from tests.object_server import ObjectServer
from tests.toy import backend
from tests.unit.models.descriptions import describe

NETWORK = PRESETS["article"].network((8, 8, 1), 10)
ONNX = NEUTRAL_EXPORTERS["onnx"]


def writing(change: Callable[[dict[str, np.ndarray]], object]) -> Exporter:
    """Return an exporter that changes the weights before it writes them."""

    def write(model: VerifiedModel) -> bytes:
        weights = {name: array.copy() for name, array in model.weights.items()}
        change(weights)
        return write_onnx(model.manifest.network, weights)

    return Exporter(write, ONNX.runtime)


@pytest.fixture
def context(redis: Redis, settings: Settings) -> JobContext:
    """Return a trainer's context with one published model, `m`."""
    registry = ModelRegistry(settings.model_dir)
    test = datasets.fingerprint(datasets.read_uncached(datasets.find("digits", settings), "test"))
    data = DataFingerprints(dataset="digits", train="", test=test)
    description = describe(NETWORK).model_copy(update={"data": data})
    registry.publish("m", "toy", 1, description, random_weights(NETWORK, 0), "writer")
    exports, checkpoints = ExportStore(settings.model_dir), Checkpoints(settings.model_dir)
    return JobContext(backend, settings, redis, registry, checkpoints, lambda *_: None, exports, NEUTRAL_EXPORTERS)


@pytest.fixture
def perform(context: JobContext, redis: Redis, settings: Settings):
    """Return a function that submits and performs an export, and returns the run."""
    jobs = JobQueue(redis, settings, b"key")

    def perform(format_name: str = "onnx", exporter: Exporter = ONNX, **changes: Any) -> ExportRun:
        job = ExportJob(name="m", version=1, format=format_name, dataset="digits")
        identity = jobs.submit(EXPORT, job, {"toy": ExportRun(status=QUEUED)})
        redis.delete("rq:queue:toy")
        run = Run(redis, "export", identity, "toy", ExportRun)
        assert run.start()
        try:
            export(replace(context, exporters={format_name: exporter}, **changes), run, jobs.read(EXPORT, identity).job)
        finally:
            perform.ended = jobs.read(EXPORT, identity).runs["toy"]
        return perform.ended

    return perform


def files(context: JobContext) -> list[str]:
    return sorted(path.name for path in (context.settings.model_dir / ".exports").rglob("*") if path.is_file())


def test_a_file_that_answers_as_its_model_is_accepted_and_stored(context: JobContext, perform) -> None:
    run = perform()
    assert (run.status, run.verification.same_class, run.verification.examples) == ("succeeded", 360, 360)
    assert run.file.name == "m-1-toy.onnx"
    assert files(context) == sorted([f"{run.file.sha256}.onnx", "export.json"])
    record, data = context.exports.read_file(context.registry.manifest("m", "toy", 1), "onnx")
    assert (record.file, len(data)) == (run.file, run.file.size)


def test_an_exact_file_with_other_classes_is_rejected_by_how_much_and_on_which_pictures(
    context: JobContext, perform
) -> None:
    with pytest.raises(RejectedExportError, match=r"another class .* for \d+ of 360 test pictures \(the first: \d+, "):
        perform(exporter=writing(lambda weights: weights["layers.2.kernel"].fill(0)))
    found = perform.ended.verification
    assert perform.ended.file is None
    assert len(found.disagreements) == min(100, 360 - found.same_class) > 0
    first = found.disagreements[0]
    assert first.model != first.export
    assert files(context) == []


def test_an_exact_file_with_other_probabilities_is_rejected(perform) -> None:
    def change(weights: dict[str, np.ndarray]) -> None:
        weights["layers.2.kernel"] *= 1.001

    with pytest.raises(RejectedExportError, match="same class for all 360 test pictures, but probabilities differ"):
        perform(exporter=writing(change))
    assert perform.ended.verification.max_probability_difference > 1e-5


def test_a_format_that_is_not_exact_reports_the_difference(perform) -> None:
    run = perform("litert-int8", writing(lambda weights: weights["layers.2.kernel"].fill(0)))
    assert run.status == "succeeded"
    found = run.verification
    only = found.mcnemar.only
    assert only["model"] - only["export"] == round(360 * (found.accuracy.model - found.accuracy.export))
    assert 0 < found.mcnemar.p_value <= 1


@pytest.mark.parametrize("format_name", ["onnx", "litert-int8"])
def test_a_file_that_answers_nan_is_rejected_in_every_format(perform, format_name: str) -> None:
    with pytest.raises(RejectedExportError, match="NaN"):
        perform(format_name, writing(lambda weights: weights["layers.2.bias"].fill(np.nan)))
    assert perform.ended.verification.max_probability_difference is None


def test_a_rejected_file_leaves_the_earlier_export(context: JobContext, perform) -> None:
    accepted = perform()
    with pytest.raises(RejectedExportError):
        perform(exporter=writing(lambda weights: weights["layers.2.kernel"].fill(0)))
    manifest = context.registry.manifest("m", "toy", 1)
    assert context.exports.read_file(manifest, "onnx")[0].file == accepted.file


def test_a_full_disk_ends_the_export_and_leaves_nothing(context: JobContext, perform) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))  # a larger file is refused, as by a full disk
    try:
        with pytest.raises(UnavailableError, match="free space on the model volume"):
            perform()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert files(context) == []
    assert perform().status == "succeeded"


def test_a_store_that_is_down_is_named_and_no_disk(
    perform, object_server: ObjectServer, store_url: str, settings: Settings
) -> None:
    exports = open_exports(settings.model_copy(update={"model_store": store_url}))
    try:
        with pytest.raises(UnavailableError, match=r"^the object store does not answer"):
            perform(exporter=writing(lambda _: object_server.send(signal.SIGSTOP)), exports=exports)
    finally:
        object_server.send(signal.SIGCONT)


def test_other_data_than_the_model_was_tested_on_prove_nothing(context: JobContext, perform) -> None:
    description = describe(NETWORK)  # its fingerprints are of no dataset
    context.registry.delete("m", "toy", 1)
    context.registry.publish("m", "toy", 1, description, random_weights(NETWORK, 0), "writer")
    with pytest.raises(ConflictError, match="digits is not the data"):
        perform()


def test_a_model_that_was_deleted_meanwhile_keeps_no_export(context: JobContext, perform) -> None:
    def delete(_: dict[str, np.ndarray]) -> None:
        context.registry.delete("m", "toy", 1)
        context.exports.delete("m", "toy", 1)

    with pytest.raises(NotFoundError):
        perform(exporter=writing(delete))
    assert files(context) == []


def test_a_cancelled_export_stores_nothing(context: JobContext, perform, redis: Redis) -> None:
    def cancel(_: dict[str, np.ndarray]) -> None:
        (key,) = (key for key in redis.scan_iter("tandem:export:*:toy"))
        assert Run(redis, *key.decode().split(":")[1:]).cancel()

    with pytest.raises(SupersededError):
        perform(exporter=writing(cancel))
    assert perform.ended.status == "cancelled"
    assert files(context) == []


def test_a_second_execution_replaces_what_the_first_left(context: JobContext, redis: Redis, settings: Settings) -> None:
    jobs = JobQueue(redis, settings, b"key")
    job = ExportJob(name="m", version=1, format="onnx", dataset="digits")
    identity = jobs.submit(EXPORT, job, {"toy": ExportRun(status=QUEUED)})
    job = jobs.read(EXPORT, identity).job
    context.exports.write_draft(context.registry.manifest("m", "toy", 1), "onnx", identity, b"half a file")
    run = Run(redis, "export", identity, "toy", ExportRun)
    run.start()
    export(context, run, job)
    assert not [name for name in files(context) if name.startswith(".")]
