"""An export's run: write a model in another format, and compare the file's answers with the model's.

The file has to answer the whole test split in its own runtime, in a process without the framework. A file of an exact
format that answers otherwise than the model is rejected. The run then fails, and keeps the figures.
"""

from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from shared.data import datasets
from shared.data.datasets import Split
from shared.errors import (
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    RejectedExportError,
    UnavailableError,
    describe_error,
)
from shared.exports.answers import RuntimeAnswers, ask_runtime
from shared.exports.formats import FORMATS, MAX_DIFFERENCE
from shared.exports.records import ExportRecord
from shared.jobs.payloads import ExportJob
from shared.jobs.results import (
    ExportAccuracy,
    ExportDisagreement,
    ExportFile,
    ExportProgress,
    ExportVerification,
    McNemar,
)
from shared.jobs.run_state import SUCCEEDED, Run
from shared.models.cached_reads import checksum
from shared.models.manifest import Manifest
from shared.models.registry import WEIGHTS
from shared.object_store import ObjectStoreError
from shared.training import metrics
from shared.training.context import JobContext

NAMED = 5  # indices of pictures in an error message


def export(context: JobContext, run: Run, job: ExportJob) -> None:
    """Perform an export's job.

    Raises:
        InvalidRequestError: the trainer does not know the format.
        NotFoundError: the model was deleted in the meantime.
        ConflictError: the dataset is not the one that the model was tested on.
        CorruptModelError: a file of the model is not as it was published.
        RejectedExportError: the file does not compute what the model computes.
        UnavailableError: the disk is full, or the file took too long to answer.
        SupersededError: another execution has taken the run over, or it was cancelled.
    """
    exporter = context.exporters.get(job.format)
    if exporter is None:
        raise InvalidRequestError(f"{run.backend} exports {', '.join(context.exporters)}, and not {job.format[:80]!r}")
    context.exports.remove_abandoned_drafts()
    context.configure(run, seed=0, device="cpu")  # as the file's runtime: a GPU rounds otherwise
    model = context.registry.verify(job.name, run.backend, job.version)
    test = _load_test_split(context, job, model.manifest)
    backend, network = context.backend, model.manifest.network
    scores = backend.evaluate(backend.define_network(network, model.weights), backend.define_loss(), test)
    try:
        data = exporter.write(model)
        draft = context.exports.write_draft(model.manifest, job.format, job.id, data)
        try:
            count = len(test)
            run.report(progress=ExportProgress(done=0, of=count))
            answers = ask_runtime(
                exporter,
                draft,
                network,
                test.images,
                context.settings.threads_per_backend,
                report=lambda done: run.report(progress=ExportProgress(done=done, of=count)),
            )
            ratio = model.manifest.files[WEIGHTS].size / len(data)
            verification = verify(job, test.labels, scores.probabilities, answers, ratio)
            run.report(verification=verification, progress=ExportProgress(done=count, of=count))
            check_verification(verification, FORMATS[job.format].is_exact)
            record = _describe(job, model.manifest, data, verification)
            run.claim_publication()
            context.exports.accept(draft, record)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        _require_model(context, job, run)
        if isinstance(error, ObjectStoreError):
            raise
        raise UnavailableError(
            f"the file could not be written ({describe_error(error)}): free space on the model volume, then export "
            "the model again"
        ) from None
    _require_model(context, job, run)
    run.finish(SUCCEEDED, file=record.file)


def verify(
    job: ExportJob,
    labels: NDArray[np.int64],
    expected: NDArray[np.float32],
    answers: RuntimeAnswers,
    size_ratio: float,
) -> ExportVerification:
    """Compare a file's answers with the model's.

    Args:
        job: what was exported.
        labels: int64 [N], the correct classes.
        expected: float32 [N, classes], the model's probabilities.
        answers: the file's.
        size_ratio: bytes of the model's weights divided by bytes of the file.
    """
    found = answers.probabilities
    ours, theirs = expected.argmax(1), found.argmax(1)
    difference = float(np.abs(expected - found).max())
    only_model = int(np.sum((ours == labels) & (theirs != labels)))
    only_export = int(np.sum((ours != labels) & (theirs == labels)))
    only = {"model": only_model, "export": only_export}
    test = McNemar(only=only, p_value=metrics.mcnemar_p_value(only_model, only_export))
    return ExportVerification(
        runtime=answers.runtime,
        dataset=job.dataset,
        examples=len(labels),
        same_class=int(np.sum(ours == theirs)),
        max_probability_difference=difference if np.isfinite(difference) else None,
        accuracy=ExportAccuracy(model=float(np.mean(ours == labels)), export=float(np.mean(theirs == labels))),
        mcnemar=None if FORMATS[job.format].is_exact else test,
        disagreements=[
            ExportDisagreement(index=int(i), label=int(labels[i]), model=int(ours[i]), export=int(theirs[i]))
            for i in np.flatnonzero(ours != theirs)[: metrics.MAX_DISAGREEMENTS]
        ],
        size_ratio=size_ratio,
    )


def check_verification(found: ExportVerification, is_exact: bool) -> None:
    """Check that a file answered as it must.

    Args:
        found: the figures.
        is_exact: whether the format has to predict what the model predicts. Others only have to answer with numbers.

    Raises:
        RejectedExportError: it did not. The message says by how much, and on how many pictures and which.
    """
    difference = found.max_probability_difference
    if difference is None:
        raise RejectedExportError("the export is rejected: the model or the file answers with infinity or NaN")
    if not is_exact:
        return
    differing = found.examples - found.same_class
    if differing:
        first = ", ".join(str(each.index) for each in found.disagreements[:NAMED])
        raise RejectedExportError(
            f"the export is rejected: it predicts another class than the model for {differing:,} of "
            f"{found.examples:,} test pictures (the first: {first}), and probabilities differ by up to {difference:.1e}"
        )
    if difference > MAX_DIFFERENCE:
        raise RejectedExportError(
            f"the export is rejected: it predicts the same class for all {found.examples:,} test pictures, but "
            f"probabilities differ by up to {difference:.1e}, more than {MAX_DIFFERENCE:g}"
        )


def _load_test_split(context: JobContext, job: ExportJob, manifest: Manifest) -> Split:
    """Return the test split that the model was tested on.

    Raises:
        ConflictError: the dataset has changed since.
    """
    test = context.load(datasets.find(job.dataset, context.settings, job.data_version), "test")
    if datasets.fingerprint(test) != manifest.data.test:
        raise ConflictError(f"{job.dataset} is not the data that the model was tested on, so no file can be verified")
    return test


def _describe(job: ExportJob, manifest: Manifest, data: bytes, verification: ExportVerification) -> ExportRecord:
    found = checksum(data)
    file = f"{manifest.name}-{manifest.version}-{manifest.backend}{FORMATS[job.format].suffix}"
    return ExportRecord(
        format=job.format,
        file=ExportFile(name=file, size=found.size, sha256=found.sha256),
        verification=verification,
        created_at=datetime.now(UTC).isoformat(),
        digest=manifest.digest,
        writer=job.id,
    )


def _require_model(context: JobContext, job: ExportJob, run: Run) -> None:
    """Check that the model was not deleted while it was exported. If it was, delete the export, too.

    Raises:
        NotFoundError: it was.
    """
    try:
        context.registry.identity(job.name, run.backend, job.version)
    except NotFoundError:
        context.exports.delete(job.name, run.backend, job.version)
        raise
