"""What a search proposes and prunes depends only on the seed, the trial's number, and the trials so far."""

import json
import math

import pytest

from services.pipelines.search.proposals import Proposals
from shared.jobs.search_points import SearchPoints
from shared.jobs.search_space import SPACES, SearchSpace
from shared.jobs.searches import PrunerNotes, SearchRequest, SearchTrial

EPOCHS = 9
LARGE = {
    "network": {"choice": ["lenet5", {"family": "mlp"}, {"family": "cnn"}]},
    "optimizer.name": {"choice": ["sgd", "adam"]},
    "optimizer.learning_rate": {"log_range": [0.001, 0.1]},
    "optimizer.momentum": {"range": [0.0, 0.99]},
    "batch_size": {"log_range": [8, 512]},
    "augmentation": {"choice": [None, {"shift": 0.1}]},
    "augmentation.rotate": {"range": [1, 10]},
}
SPACES_TO_SEARCH = {"quick": SPACES["quick"], "large": SearchSpace.model_validate(LARGE)}


class Search:
    """A search without trainings: the value of a trial is a function of its learning rate and its epoch."""

    def __init__(self, space: str, sampler: str, *, seed: int = 3, trials: int = 14, pruner: str = "hyperband") -> None:
        request = {"space": "quick", "sampler": sampler, "seed": seed, "trials": trials, "pruner": pruner}
        self.request = SearchRequest.model_validate({**request, "epochs": EPOCHS})
        self.proposals = Proposals(self.request, SearchPoints(SPACES_TO_SEARCH[space], {}))
        self.trials: list[SearchTrial] = []
        self.notes: dict[str, PrunerNotes] = {}

    def read_again(self) -> None:
        """Forget everything but what Redis holds, as a new process does."""
        self.trials = [SearchTrial.model_validate_json(trial.model_dump_json()) for trial in self.trials]
        self.notes = json.loads(json.dumps(self.notes))
        self.proposals = Proposals(self.request, self.proposals._points)

    def run(self, is_interrupted: bool) -> list[SearchTrial]:
        while len(self.trials) < self.proposals.count_trials():
            if is_interrupted:
                self.read_again()
            point = self.proposals.propose(self.trials, self.notes)
            self.trials.append(SearchTrial(number=len(self.trials) + 1, parameters=point))
            if len(self.trials) % 5 == 0:
                self.trials[-1].status = "failed"
            while self.trials[-1].status == "running":
                if is_interrupted:
                    self.read_again()
                self.add_step()
        return self.trials

    def add_step(self) -> None:
        trial = self.trials[-1]
        distance = abs(math.log(float(str(trial.parameters["optimizer.learning_rate"])) / 0.02))
        trial.value = distance + 1 / (len(trial.steps) + 1)
        trial.steps.append(trial.value)
        decision = self.proposals.decide(self.trials, self.notes)
        self.notes[str(trial.number)] = decision.notes
        if decision.is_pruned:
            trial.status = "pruned"
        elif len(trial.steps) == EPOCHS:
            trial.status = "finished"


@pytest.mark.parametrize("sampler", ["tpe", "random", "grid"])
@pytest.mark.parametrize("space", SPACES_TO_SEARCH)
def test_a_search_that_is_interrupted_before_every_step_proposes_and_prunes_the_same(space: str, sampler: str) -> None:
    trials = Search(space, sampler).run(is_interrupted=False)
    assert Search(space, sampler).run(is_interrupted=True) == trials
    assert {trial.status for trial in trials} == {"finished", "pruned", "failed"}
    texts = [json.dumps(trial.parameters, sort_keys=True) for trial in trials]
    assert len(set(texts)) == len(trials)
    assert Search(space, sampler, seed=4).run(is_interrupted=False) != trials


def test_without_a_pruner_every_trial_is_trained_to_the_end() -> None:
    trials = Search("quick", "tpe", pruner="none").run(is_interrupted=True)
    assert {len(trial.steps) for trial in trials if trial.status != "failed"} == {EPOCHS}


def test_tpe_finds_better_settings_than_it_began_with() -> None:
    trials = [trial for trial in Search("quick", "tpe", trials=30, pruner="none").run(False) if trial.value]
    first, last = (sorted(trial.value or 0 for trial in part) for part in (trials[:8], trials[-8:]))
    assert last[4] < first[4]


def test_a_grid_covers_all_points_and_ends_when_none_is_left() -> None:
    search = Search("quick", "grid", trials=500, pruner="none")
    points = SearchPoints(SPACES["quick"], {})
    assert search.proposals.count_trials() == points.grid_size() < 500
    blank = [SearchTrial(number=number, parameters={}) for number in range(1, points.grid_size())]
    proposed = {json.dumps(search.proposals.propose(blank[:count], {})) for count in range(points.grid_size())}
    assert proposed == {json.dumps(points.grid_point(index)) for index in range(points.grid_size())}


def test_a_grid_of_very_many_points_varies_every_path() -> None:
    space = SearchSpace.model_validate({f"field{index}": {"choice": list(range(10))} for index in range(20)})
    request = SearchRequest.model_validate({"space": space.model_dump(), "sampler": "grid", "trials": 50})
    proposals = Proposals(request, SearchPoints(space, {}))
    blank = [SearchTrial(number=number, parameters={}) for number in range(1, 51)]
    proposed = [proposals.propose(blank[:count], {}) for count in range(50)]
    assert all(len({str(point[path]) for point in proposed}) > 3 for path in space.domains)


def test_the_parameter_that_decides_everything_is_the_most_important() -> None:
    search = Search("quick", "random", trials=20, pruner="none")
    trials = search.run(is_interrupted=False)
    importance = search.proposals.measure_importance(trials)
    assert importance is not None
    assert max(importance, key=lambda path: importance[path]) == "optimizer.learning_rate"
    assert math.isclose(sum(importance.values()), 1)
    assert search.proposals.measure_importance(trials[:3]) is None
