"""A transplant's run: the weights of one backend's model, published as another's, with proof.

It runs in a trainer of the backend that receives. What the other backend
answers is asked of its predictor, over the same hop that serves predictions.
"""

import urllib.error
import urllib.request
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.data import datasets
from shared.errors import ConflictError, UnavailableError
from shared.jobs.run_state import SUCCEEDED, Run
from shared.logs import REQUEST_ID, request_id
from shared.models.manifest import ModelDescription, TransplantProof
from shared.training.context import JobContext

HOP_BYTES = 4 * 2**20  # of pictures in one request


def transplant(context: JobContext, run: Run, job: dict[str, Any]) -> None:
    """Publish another backend's model as this one's, having asked both about the whole test split."""
    backend = context.backend
    context.configure(run, seed=0)
    source = context.registry.verify(job["name"], job["source"]["backend"], job["source"]["version"])
    found = datasets.find(source.manifest.data.dataset, context.settings)
    test = context.load(found, "test")
    if datasets.fingerprint(test) != source.manifest.data.test:
        raise ConflictError(f"{found.name} is not the data that the model was tested on: nothing to prove it with")
    theirs = _ask(context, job, test.images)
    model = backend.define_network(source.manifest.network, source.weights)
    ours = backend.evaluate(model, backend.define_loss(), test)

    proof = TransplantProof(
        **job["source"],
        digest=source.manifest.digest,
        split="test",
        examples=len(test),
        max_probability_difference=float(np.abs(ours.probabilities - theirs).max()),
        same_class=int(np.sum(ours.probabilities.argmax(1) == theirs.argmax(1))),
    )
    manifest = source.manifest
    description = ModelDescription(
        request=manifest.request,
        network=manifest.network,
        classes=manifest.classes,
        prepare=manifest.prepare,
        metrics=manifest.metrics.model_copy(update={"test_loss": ours.loss, "test_accuracy": ours.accuracy}),
        data=manifest.data,
        transplanted_from=proof,
    )
    published = context.publish(run, job, description, backend.save(model))
    run.finish(SUCCEEDED, model=published, proof=proof.model_dump(mode="json"))


def _ask(context: JobContext, job: dict[str, Any], images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The source's probabilities, float32 [N, classes], from its predictor.

    Raises:
        UnavailableError: it does not answer.
    """
    backend, version = job["source"]["backend"], job["source"]["version"]
    url = f"{context.settings.url_of(backend)}/predict/{job['name']}/{version}"
    size = max(1, HOP_BYTES // images[0].nbytes)
    answers = []
    for start in range(0, len(images), size):
        batch = images[start : start + size]
        try:
            asked = urllib.request.Request(url, batch.tobytes(), {REQUEST_ID: request_id()})  # noqa: S310 - our own predictor
            with urllib.request.urlopen(asked, timeout=60) as answer:  # noqa: S310
                answers.append(np.frombuffer(answer.read(), "<f4").reshape(len(batch), -1))
        except (urllib.error.URLError, OSError, ValueError) as error:
            raise UnavailableError(f"{backend}'s predictor does not answer for {job['name']}: {error}") from None
    return np.concatenate(answers)
