"""The gate `parity`: the models of all backends classify the test split alike."""

from dataclasses import dataclass

from services.pipelines.release.intervals import highest_plausible_share
from services.pipelines.release.outcome import GateOutcome
from services.pipelines.release.subject import Subject
from services.pipelines.submitted_jobs import describe_errors
from shared.errors import TandemError
from shared.jobs.releases import GatePicture, ParityGate
from shared.jobs.results import Comparison, EvaluationResult

CONFIDENCE = 0.975  # one side of the 95 % interval that the accuracies' difference has, too


@dataclass(frozen=True)
class FinishedEvaluation:
    """An evaluation that has succeeded.

    Attributes:
        identity: its id.
        results: by backend.
        comparisons: one per pair of backends.
    """

    identity: str
    results: dict[str, EvaluationResult]
    comparisons: list[Comparison]

    @property
    def count(self) -> int:
        """Return how many test pictures were classified."""
        return sum(sum(row) for row in next(iter(self.results.values())).confusion or [])


def check_parity(subject: Subject, limits: ParityGate) -> GateOutcome:
    """Evaluate the candidate in every backend, and look at each pair.

    Args:
        subject: the candidate.
        limits: how far two backends may differ.

    Raises:
        TandemError: the evaluation fails.
    """
    if len(subject.backends) == 1:
        return GateOutcome(remarks=[f"only {subject.backends[0]} has the version: there is nothing to compare"])
    evaluation = evaluate(subject)
    outcome = GateOutcome(figures={"evaluation": evaluation.identity, "pairs": []})
    for comparison in evaluation.comparisons:
        _judge_pair(subject, comparison, evaluation.count, limits, outcome)
    return outcome


def _judge_pair(subject: Subject, comparison: Comparison, count: int, limits: ParityGate, outcome: GateOutcome) -> None:
    first, second = comparison.backends
    agreement, difference = comparison.agreement, comparison.accuracy_difference
    # A small test split tells little. So a limit is exceeded only if the nearer end of the interval exceeds it.
    plausible = highest_plausible_share(round(agreement * count), count, CONFIDENCE)
    near = max(difference.low, -difference.high, 0.0)
    outcome.figures["pairs"].append(
        {
            "backends": [first, second],
            "agreement": agreement,
            "highest_plausible_agreement": plausible,
            "accuracy_difference": difference.model_dump(),
            "max_probability_difference": comparison.max_probability_difference,
        }
    )
    outcome.remarks.append(f"{first} and {second} agree on {agreement:.2%} of the test pictures")
    if plausible < limits.min_agreement:
        outcome.problems.append(
            f"{outcome.remarks[-1]} (of many more pictures on {plausible:.2%} at best), "
            f"and {limits.min_agreement:.2%} is required"
        )
    if near > limits.max_accuracy_difference:
        outcome.problems.append(
            f"the accuracies of {first} and {second} differ by at least {near:.2%}, "
            f"and {limits.max_accuracy_difference:.2%} is allowed"
        )
    classes = subject.candidate.first.classes
    outcome.show(
        GatePicture(
            split="test",
            index=one["index"],
            why=f"{classes[one['label']]}: {first} says {classes[one[first]]}, {second} says {classes[one[second]]}",
        )
        for one in comparison.disagreements
    )


def evaluate(subject: Subject) -> FinishedEvaluation:
    """Return the evaluation of the candidate on its test split, in every backend that is checked.

    Two gates use it: the same Idempotency-Key returns the same evaluation.

    Raises:
        TandemError: it fails, or cannot be submitted.
    """
    candidate = subject.candidate
    request = {"model": candidate.name, "version": candidate.version, "backends": subject.backends}
    found = subject.jobs.finish("/v1/evaluations", request, "evaluation")
    if found["status"] != "succeeded":
        raise TandemError(f"the evaluation has {found['status']} ({describe_errors(found)})")
    return FinishedEvaluation(
        found["id"],
        {backend: EvaluationResult.model_validate(result) for backend, result in found["results"].items()},
        [Comparison.model_validate(comparison) for comparison in found["comparisons"]],
    )
