"""The gate `golden`: what is served is what was published.

For every backend, the file of the weights matches its checksum and holds finite numbers; the trainer evaluates the
model from the file; and the predictor, which may have loaded the model long ago, answers as the evaluation does.
"""

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load

from services.pipelines.gateway_client import RefusedError
from services.pipelines.release.answers import ask
from services.pipelines.release.outcome import GateOutcome
from services.pipelines.release.parity import evaluate
from services.pipelines.release.subject import Subject
from shared.jobs.releases import GatePicture, GoldenGate
from shared.jobs.results import EvaluationResult
from shared.models.golden_check import TOLERANCE, create_inputs

MAX_PICTURES_ASKED = 2_000
ROUNDING = 0.001  # of the pictures: a picture between two classes may change sides when its batch has another size


def check_golden(subject: Subject, limits: GoldenGate) -> GateOutcome:  # noqa: ARG001 - this gate has no limits
    """Check the files and the predictions of every backend.

    Args:
        subject: the candidate.
        limits: there are none.

    Raises:
        TandemError: a model cannot be evaluated, or gives no predictions.
    """
    outcome = GateOutcome(figures={"backends": {}})
    for backend in subject.backends:
        if problem := _check_file(subject, backend):
            outcome.problems.append(problem)
    if outcome.problems:
        return outcome
    evaluation = evaluate(subject)
    for backend in subject.backends:
        _check_golden_inputs(subject, backend, outcome)
        _check_test_pictures(subject, backend, evaluation.results[backend], outcome)
    outcome.remarks.append(f"{' and '.join(subject.backends)} serve what was published")
    return outcome


def _check_file(subject: Subject, backend: str) -> str | None:
    """Return what is wrong with the weights of a backend's model. The gateway compares the file with its checksum."""
    candidate = subject.candidate
    try:
        data = subject.client.get_bytes(
            f"/v1/models/{candidate.name}/{backend}/{candidate.version}/weights.safetensors"
        )
        arrays = load(data)
    except (RefusedError, SafetensorError) as error:
        return f"the weights of {backend} cannot be read: {error}"
    if broken := [name for name, array in arrays.items() if not np.isfinite(array).all()]:
        return f"the weights of {backend} hold values that are not finite numbers, in {', '.join(broken[:3])}"
    return None


def _check_golden_inputs(subject: Subject, backend: str, outcome: GateOutcome) -> None:
    """Compare the predictions of the fixed inputs with those in the manifest."""
    candidate, manifest = subject.candidate, subject.candidate.manifests[backend]
    if manifest.golden is None:
        outcome.remarks.append(f"the manifest of {backend} has no golden predictions")
        return
    found = ask(subject.client, candidate.name, candidate.version, backend, create_inputs(manifest.network.input_shape))
    difference = float(np.abs(found - np.array(manifest.golden)).max())
    outcome.figures["backends"][backend] = {"golden_difference": difference}
    if difference > TOLERANCE:
        outcome.problems.append(f"{backend} predicts other probabilities than at its publication (by {difference:.3f})")


def _check_test_pictures(subject: Subject, backend: str, evaluated: EvaluationResult, outcome: GateOutcome) -> None:
    """Compare the predictor's answers with the trainer's evaluation of the same pictures."""
    candidate, test = subject.candidate, subject.test
    images, labels = test.images[:MAX_PICTURES_ASKED], test.labels[:MAX_PICTURES_ASKED]
    found = ask(subject.client, candidate.name, candidate.version, backend, images).argmax(1)
    figures = outcome.figures["backends"].setdefault(backend, {})
    figures |= {"predicted_accuracy": float((found == labels).mean()), "evaluated_accuracy": evaluated.accuracy}
    if len(images) < len(test):
        return
    confusion = np.zeros_like(np.array(evaluated.confusion))
    np.add.at(confusion, (labels, found), 1)
    differing = int(np.abs(confusion - np.array(evaluated.confusion)).sum() // 2)
    figures["differing"] = differing
    if differing > max(1, ROUNDING * len(labels)):
        outcome.problems.append(
            f"the predictor of {backend} classifies at least {differing} of {len(labels)} test pictures otherwise "
            "than the evaluation"
        )
        wrong = np.flatnonzero(found != labels)
        outcome.show(GatePicture(split="test", index=int(index), why=f"{backend} is wrong") for index in wrong)
