"""The types of a search: the request, the job, and everything that the pipelines report about it.

The gateway parses the request and shows the state; the pipelines carry the search out and write its state. The list of
trials is the only thing that a search has to remember: from it, a search that was interrupted continues as if it had
not been. This module does no I/O.
"""

from typing import Annotated, Literal, get_args

from pydantic import Discriminator, Field, JsonValue, Tag

from shared.jobs.payloads import Backends, Count, JobPayload, ModelName, RequestBody, ResponseBody, Seed
from shared.jobs.results import RunState
from shared.jobs.search_space import SearchSpace
from shared.network.layers import Shape

SpaceName = Literal["quick"]
PrunerNotes = dict[str, JsonValue]  # what the pruner remembers about one trial
TrialStatus = Literal["running", "finished", "pruned", "failed"]

MAX_TRIALS = 500
MAX_EPOCHS = 200
# Fields of a training that a search sets itself, so that neither `training` nor `space` may name them.
OWN_FIELDS = ("dataset", "data_version", "name", "backends", "epochs", "seed", "validation", "publish")

SpaceOrName = Annotated[
    Annotated[SpaceName, Tag("named")] | Annotated[SearchSpace, Tag("spelled")],
    Discriminator(lambda value: "named" if isinstance(value, str) else "spelled"),
]


class SearchRequest(RequestBody):
    """Train many variants of one training in every backend, and publish the best."""

    dataset: Annotated[str, Field(max_length=63)] = "mnist"
    space: Annotated[
        SpaceOrName,
        Field(description=f"{', '.join(get_args(SpaceName))}; or paths of fields of a training, each with its values"),
    ] = "quick"
    trials: Annotated[Count, Field(le=MAX_TRIALS)] = 20
    epochs: Annotated[
        Count, Field(le=MAX_EPOCHS, description="of each trial that is not pruned, and of the winner")
    ] = 5
    sampler: Annotated[
        Literal["tpe", "random", "grid"],
        Field(
            description="tpe: learns from the trials so far; random: each trial by itself; grid: every combination, "
            "once, in a mixed order"
        ),
    ] = "tpe"
    pruner: Annotated[
        Literal["hyperband", "none"], Field(description="hyperband: trials that fall behind are ended early")
    ] = "hyperband"
    seed: Annotated[Seed, Field(description="of the proposals, and of every training")] = 0
    backends: Annotated[Backends | None, Field(description="by default all")] = None
    name: Annotated[ModelName | None, Field(description="of the winner's model; by default search-{dataset}")] = None
    validation: Annotated[
        float,
        Field(
            strict=True,
            gt=0,
            le=0.5,
            allow_inf_nan=False,
            description="the share of the training split that the trials are judged on; a search never reads the test "
            "split before its winner is found",
        ),
    ] = 0.2
    training: Annotated[
        dict[str, JsonValue],
        Field(
            description="fields of a training that all trials share, such as network, batch_size or optimizer; the "
            "schedule is cosine unless this or the space names another"
        ),
    ] = Field(default_factory=dict)


class SearchJob(JobPayload):
    """The signed job of a search.

    Attributes:
        request: the request, with the name and the backends filled in.
        name: of the winner's model.
        space: the space, spelled out.
        input_shape: of the dataset's pictures, for network families.
        classes: number of the dataset's classes.
        data_version: the version of an uploaded dataset, so that all trials read the same pictures; None for others.
        warnings: what the client should know about the space.
    """

    kind: Literal["search"] = "search"
    request: SearchRequest
    name: str
    space: SearchSpace
    input_shape: Shape
    classes: int
    data_version: str | None = None
    warnings: list[str] = Field(default_factory=list)

    def search_terms(self) -> list[str]:
        """Return the id, and the names of the model and the dataset."""
        return [self.id, self.name, self.request.dataset]


# State ---------------------------------------------------------------------


class TrialBackend(ResponseBody):
    """One backend's figures of a trial, after the last epoch that counts."""

    validation_loss: float
    validation_accuracy: float | None
    epochs: Annotated[int, Field(description="the trial's epochs that count; a pruned trial may have trained more")]


class SearchTrial(ResponseBody):
    """One variant: its values, and how it did."""

    number: Annotated[int, Field(description="counted from 1")]
    parameters: Annotated[dict[str, JsonValue], Field(description="the value of each path")]
    training: Annotated[str | None, Field(description="id of its training")] = None
    status: Annotated[TrialStatus, Field(description="pruned: it fell behind and was ended early")] = "running"
    value: Annotated[
        float | None,
        Field(description="mean validation loss of the backends after the last epoch; null for a failed trial"),
    ] = None
    steps: Annotated[list[float], Field(description="the same mean after each epoch")] = []  # noqa: RUF012 - pydantic copies defaults
    backends: dict[str, TrialBackend] = Field(default_factory=dict)
    error: str | None = None


class SearchProgress(ResponseBody):
    """How far a search is."""

    trials_done: int
    trials: Annotated[int, Field(description="how many there will be; a grid may have fewer than requested")]
    epochs_spent: Annotated[
        int, Field(description="epochs of all trials that counted; each is trained in every backend")
    ]
    doing: Annotated[str, Field(description="what the search does now")]


class BackendAgreement(ResponseBody):
    """Whether two backends rank the finished trials alike."""

    backends: list[str]
    trials: Annotated[int, Field(description="finished trials, which are compared")]
    rank_correlation: Annotated[float | None, Field(description="Spearman's; null for fewer than 3 trials")]
    low: Annotated[float | None, Field(description="lower end of a 95 % interval (bootstrap over trials)")]
    high: float | None
    same_winner: bool
    winners: Annotated[dict[str, int], Field(description="the number of the trial that is best in this backend alone")]


class SearchWinner(ResponseBody):
    """The best trial's settings, trained on the whole training split, published, and measured on the test split."""

    training: Annotated[str, Field(description="id of the training")]
    name: str
    version: int
    evaluation: Annotated[str | None, Field(description="id of the evaluation")] = None
    test_accuracy: dict[str, float] = Field(default_factory=dict, description="by backend")
    test_loss: dict[str, float] = Field(default_factory=dict)


class SearchRun(RunState):
    """The single run of a search.

    Attributes:
        trials: the trials so far, in order.
        pruner_notes: what the pruner remembers about each trial, by the trial's number.
        progress, best, importance, agreement, winner: as the response body shows them.
    """

    trials: list[SearchTrial] = Field(default_factory=list)
    pruner_notes: dict[str, PrunerNotes] = Field(default_factory=dict)
    progress: SearchProgress | None = None
    best: int | None = None
    importance: dict[str, float] | None = None
    agreement: list[BackendAgreement] = Field(default_factory=list)
    winner: SearchWinner | None = None
