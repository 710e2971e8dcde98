"""What workers report: the state of a run and its results. This module does no I/O.

A worker writes these classes to Redis as JSON. The gateway reads them and puts them into its responses, so their names
are component names of the OpenAPI document.
"""

from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field, JsonValue

from shared.jobs.loadtests import Interval, LoadComparison, LoadResult, Progress
from shared.jobs.payloads import ResponseBody, Status
from shared.models.manifest import FileSum, TransplantProof

Verdict = Literal["identical", "rounding", "different"]
IDENTICAL: Final = "identical"
ROUNDING: Final = "rounding"
DIFFERENT: Final = "different"
VERDICTS: tuple[Verdict, ...] = (IDENTICAL, ROUNDING, DIFFERENT)  # from best to worst


class RunState(ResponseBody):
    """One backend's run of some work. Kinds of work that report more have a subclass."""

    status: Status
    threads: Annotated[int | None, Field(description="threads that the trainer may use")] = None
    device: Annotated[str | None, Field(description="the device that the framework took: cpu or cuda")] = None
    tf32: Annotated[bool | None, Field(description="whether a GPU could round factors to TF32")] = None
    overlapped: Annotated[bool, Field(description="another run was at work at the same time, on any machine")] = False
    error: str | None = None
    warnings: Annotated[list[str], Field(description="what did not work, although the run went on")] = []  # noqa: RUF012 - pydantic copies defaults


class ModelReference(ResponseBody):
    """The identity of a model."""

    name: str
    backend: str
    version: int


# Comparisons ---------------------------------------------------------------


class McNemar(ResponseBody):
    """McNemar's exact test of two backends on the same examples."""

    only: Annotated[dict[str, int], Field(description="examples that only this backend classified correctly")]
    p_value: Annotated[float, Field(description="two-sided; 1 if both counts are equal")]


class AccuracyDifference(ResponseBody):
    """The difference of two accuracies, with its 95 % interval from a paired bootstrap."""

    value: Annotated[float, Field(description="the first backend's accuracy minus the second's")]
    low: Annotated[float, Field(description="lower end of a 95 % interval from a paired bootstrap")]
    high: float


class Comparison(ResponseBody):
    """Two backends' predictions for the same examples. A disagreement also holds each backend's label."""

    backends: list[str]
    agreement: Annotated[float, Field(description="fraction of examples with the same predicted class")]
    mcnemar: McNemar
    accuracy_difference: AccuracyDifference
    max_probability_difference: float
    max_weight_difference: Annotated[
        float | None,
        Field(description="for trainings with shared pairing: the largest difference of any weight after training"),
    ] = None
    disagreements: Annotated[list[dict[str, int]], Field(description="the first 100")]
    notes: Annotated[list[str], Field(description="reasons for differences larger than rounding")] = []  # noqa: RUF012 - pydantic copies defaults


# Trainings -----------------------------------------------------------------


class Epoch(ResponseBody):
    """The figures of one finished epoch. Losses are mean cross-entropies, accuracies are fractions."""

    epoch: int
    loss: Annotated[float, Field(description="example-weighted mean over the epoch's batches")]
    accuracy: float
    test_loss: Annotated[float | None, Field(description="null if the training does not publish its model")]
    test_accuracy: Annotated[float | None, Field(description="null if the training does not publish its model")]
    validation_loss: Annotated[float | None, Field(description="of the validation share; null without one")] = None
    validation_accuracy: Annotated[float | None, Field(description="null without a validation share")] = None
    seconds: Annotated[float, Field(description="wall time, including evaluations and progress reports")]


class TrainingRun(RunState):
    """One backend's run of a training."""

    epoch: Annotated[int, Field(description="epochs finished")]
    epochs: int
    history: list[Epoch]
    examples_per_second: Annotated[
        float | None, Field(description="training examples divided by the median duration of an epoch")
    ] = None
    resumed_after: Annotated[
        int | None, Field(description="the last epoch of the checkpoint that the run resumed from, if its process died")
    ] = None
    model: ModelReference | None = None


# Evaluations ---------------------------------------------------------------


class ClassFigures(ResponseBody):
    """Precision, recall and F1 of one class, as fractions. A figure that cannot be computed is null."""

    model_config = ConfigDict(populate_by_name=True)

    name: Annotated[str, Field(alias="class")]
    precision: Annotated[float | None, Field(description="null if no example was predicted as this class")]
    recall: Annotated[float | None, Field(description="null if the split has no example of this class")]
    f1: Annotated[float | None, Field(description="null if the split has no example of this class")]


class EvaluationResult(RunState):
    """One backend's run of an evaluation."""

    accuracy: float | None = None
    loss: float | None = None
    confusion: Annotated[list[list[int]] | None, Field(description="confusion[true][predicted]")] = None
    per_class: list[ClassFigures] | None = None


# Parity certificates -------------------------------------------------------


class StepDifference(ResponseBody):
    """The largest relative difference of any tensor at one step: max |a - b| / max |a|."""

    step: int
    logits: float
    gradients: Annotated[float | None, Field(description="null for NumPy, which computes the forward pass only")]
    weights: Annotated[float | None, Field(description="after the step")]


class FirstDifference(ResponseBody):
    """Where a difference first appears."""

    precision: Literal["float64", "float32"]
    step: int
    layer: str
    what: Literal["outputs", "gradients", "weights"]
    difference: float


class Parity(ResponseBody):
    """How far apart two computations of the same steps are.

    identical: all numbers are equal in both precisions. rounding: in double precision, no difference is larger than
    rounding explains. different: some difference is.
    """

    verdict: Verdict
    first_difference: Annotated[
        FirstDifference | None,
        Field(description="the first difference beyond rounding; if there is none, the first"),
    ]
    limits: Annotated[
        dict[str, float],
        Field(description="the largest differences in double precision that rounding explains; larger on a GPU"),
    ] = {}  # noqa: RUF012 - pydantic copies defaults
    steps: Annotated[dict[str, list[StepDifference]], Field(description="by precision")]


class PairParity(Parity):
    """The parity of two backends."""

    backends: list[str]


class CertificateRun(RunState):
    """One backend's run of a certificate."""

    precision: str | None = None
    step: Annotated[int, Field(description="the last finished step in this precision")] = 0
    reference: Annotated[Parity | None, Field(description="the backend's forward pass compared with NumPy's")] = None


# Transplants ---------------------------------------------------------------


class TransplantRun(RunState):
    """The receiving backend's run of a transplant."""

    model: ModelReference | None = None
    proof: TransplantProof | None = None


# Exports -------------------------------------------------------------------


class ExportFile(FileSum):
    """The file that an export made."""

    name: Annotated[str, Field(description="the name under which clients store it")]


class ExportAccuracy(ResponseBody):
    """The accuracies of a model and of a file made of it, as fractions."""

    model: float
    export: float


class ExportDisagreement(ResponseBody):
    """A picture for which a file predicts another class than the model. Classes are numbers."""

    index: Annotated[int, Field(description="in the test split, from 0")]
    label: Annotated[int, Field(description="the correct class")]
    model: Annotated[int, Field(description="the class that the model predicts")]
    export: Annotated[int, Field(description="the class that the file predicts")]


class ExportVerification(ResponseBody):
    """What a file answered for the whole test split, compared with its model.

    The file was run by its own runtime, in a process that had neither the framework nor Tandem.
    """

    runtime: Annotated[str, Field(description="name and version of what ran the file")]
    dataset: str
    examples: int
    same_class: Annotated[int, Field(description="examples for which file and model predict the same class")]
    max_probability_difference: Annotated[
        float | None, Field(description="of any probability; null if one is not a finite number")
    ]
    accuracy: ExportAccuracy
    mcnemar: Annotated[
        McNemar | None, Field(description="of `model` and `export`; null for formats that must predict the same")
    ]
    disagreements: Annotated[list[ExportDisagreement], Field(description="the first 100")]
    size_ratio: Annotated[float, Field(description="bytes of the model's weights divided by bytes of the file")]


class ExportProgress(ResponseBody):
    """How many test pictures an exported file has answered so far."""

    done: int
    of: Annotated[int, Field(description="pictures of the test split")]


class ExportRun(RunState):
    """The backend's run of an export.

    Attributes:
        progress: None until the file is written.
        file: None unless the file was accepted.
        verification: also there if the file was rejected.
    """

    progress: ExportProgress | None = None
    file: ExportFile | None = None
    verification: ExportVerification | None = None


# Load tests ----------------------------------------------------------------


class LoadTestRun(RunState):
    """The single run of a load test.

    Attributes:
        conditions: a LoadConditions as JSON. Reports only show it, so older versions may have written other fields.
    """

    progress: Progress | None = None
    valid: bool | None = None
    invalid_reason: str | None = None
    results: dict[str, list[LoadResult]] = Field(default_factory=dict)
    largest_qps: dict[str, Interval] = Field(default_factory=dict)
    comparisons: list[LoadComparison] = Field(default_factory=list)
    conditions: dict[str, JsonValue] = Field(default_factory=dict)
