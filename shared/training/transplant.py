"""A transplant's run: publish the weights of one backend's model as another backend's model, with proof.

The run is executed by a trainer of the receiving backend. It computes its own probabilities for the test split, and
asks the predictor of the source backend for that model's probabilities. The manifest stores how far the two differ.
"""

import numpy as np
from numpy.typing import NDArray

from shared.data import datasets
from shared.data.datasets import Split
from shared.errors import ConflictError, UnavailableError
from shared.jobs.payloads import TransplantJob
from shared.jobs.run_state import SUCCEEDED, Run
from shared.models.manifest import Manifest, ModelDescription, TransplantProof
from shared.models.registry import VerifiedModel
from shared.serving.blocking_calls import ask_any_predictor
from shared.serving.client import ConnectionFailedError
from shared.training.context import JobContext

REQUEST_BYTES = 4 * 2**20  # of pictures in one request to the predictor
TIMEOUT_S = 60  # for one such request


def transplant(context: JobContext, run: Run, job: TransplantJob) -> None:
    """Perform a transplant's job.

    Raises:
        ConflictError: the dataset is not the one that the model was tested on.
        UnavailableError: the predictor of the source backend does not answer.
        CorruptModelError: a file of the model is not as it was published.
        SupersededError: another execution has taken the run over, or it was cancelled.
    """
    backend = context.backend
    context.configure(run, seed=0)
    source = context.registry.verify(job.name, job.source.backend, job.source.version)
    test = _load_test_split(context, source)
    theirs = _ask_source(context, job, test.images)
    model = backend.define_network(source.manifest.network, source.weights)
    ours = backend.evaluate(model, backend.define_loss(), test)
    proof = TransplantProof(
        backend=job.source.backend,
        version=job.source.version,
        digest=source.manifest.digest,
        split="test",
        examples=len(test),
        max_probability_difference=float(np.abs(ours.probabilities - theirs).max()),
        same_class=int(np.sum(ours.probabilities.argmax(1) == theirs.argmax(1))),
    )
    description = _describe(source.manifest, ours.loss, ours.accuracy, proof)
    published = context.publish(run, job, description, backend.save(model))
    run.finish(SUCCEEDED, model=published, proof=proof)


def _load_test_split(context: JobContext, source: VerifiedModel) -> Split:
    """Return the test split that the source model was tested on.

    Raises:
        ConflictError: the dataset has changed since.
    """
    dataset = datasets.find(source.manifest.data.dataset, context.settings)
    test = context.load(dataset, "test")
    if datasets.fingerprint(test) != source.manifest.data.test:
        raise ConflictError(f"{dataset.name} is not the data that the model was tested on, so nothing can be proved")
    return test


def _describe(source: Manifest, test_loss: float, test_accuracy: float, proof: TransplantProof) -> ModelDescription:
    """Return the source's description with the proof and the test figures of the receiving backend."""
    return ModelDescription(
        request=source.request,
        network=source.network,
        classes=source.classes,
        prepare=source.prepare,
        metrics=source.metrics.model_copy(update={"test_loss": test_loss, "test_accuracy": test_accuracy}),
        data=source.data,
        transplanted_from=proof,
    )


def _ask_source(context: JobContext, job: TransplantJob, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the source's probabilities, float32 [N, classes], for images uint8 [N, H, W, C].

    Raises:
        UnavailableError: the predictor does not answer, or answers with an error.
    """
    urls, path = context.settings.urls_of(job.source.backend), f"/predict/{job.name}/{job.source.version}"
    size = max(1, REQUEST_BYTES // images[0].nbytes)
    answers = []
    for start in range(0, len(images), size):
        batch = images[start : start + size]
        try:
            reply = ask_any_predictor(urls, path, batch.tobytes(), TIMEOUT_S)
            if reply.status != 200:
                raise ValueError(reply.body.decode(errors="replace"))
            answers.append(np.frombuffer(reply.body, "<f4").reshape(len(batch), -1))
        except (ConnectionFailedError, TimeoutError, ValueError) as error:
            reason = str(error) or f"no answer within {TIMEOUT_S} s"
            asked = f"{job.source.backend}'s predictor"
            raise UnavailableError(f"{asked} does not answer for {job.name}: {reason}") from None
    return np.concatenate(answers)
