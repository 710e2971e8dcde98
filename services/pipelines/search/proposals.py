"""What to try next, which trials to end early, and which parameters mattered. Optuna decides; nothing is kept here.

A decision depends only on the search's seed, the trial's number and the trials so far. Therefore each decision is made
with a new study that holds the trials so far, in order, and with a new sampler. The sampler's seed is drawn from the
search's seed and the trial's number: one seed for all asks would propose the same again and again. What the pruner
remembers about a trial (Optuna's system attributes) is part of the trial: without it, a rebuilt study would prune
nothing.
"""

import hashlib
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.pruners import BasePruner, HyperbandPruner, NopPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState, create_trial
from pydantic import JsonValue

from shared.jobs.search_points import Point, SearchParameter, SearchPoints
from shared.jobs.searches import PrunerNotes, SearchRequest, SearchTrial

STUDY_NAME = "tandem"  # Hyperband draws a trial's bracket from the study's name and the trial's number
MIN_FOR_IMPORTANCE = 4  # finished trials

Notes = Mapping[str, PrunerNotes]  # by the trial's number


@dataclass(frozen=True)
class PrunerDecision:
    """What the pruner decides after an epoch.

    Attributes:
        is_pruned: whether the trial ends here.
        notes: what the pruner remembers about the trial.
    """

    is_pruned: bool
    notes: PrunerNotes


class Proposals:
    """Makes the decisions of one search.

    Args:
        request: the search's request.
        points: the points of its space.
    """

    def __init__(self, request: SearchRequest, points: SearchPoints) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._request = request
        self._points = points

    def count_trials(self) -> int:
        """Return how many trials the search has at most: a grid ends when every point was tried."""
        asked = self._request.trials
        return min(asked, self._points.grid_size()) if self._request.sampler == "grid" else asked

    def propose(self, trials: Sequence[SearchTrial], notes: Notes) -> Point:
        """Return the values of the next trial.

        Args:
            trials: the trials so far, in order. All have ended.
            notes: what the pruner remembers about each, by number.
        """
        number = len(trials) + 1
        if self._request.sampler == "grid":
            return self._points.grid_point(self._grid_index(number))
        # Without a pruner: Optuna's sampler would otherwise learn from the trials of the same bracket only.
        study = self._rebuild(trials, notes, NopPruner(), self._new_sampler(number))
        trial = study.ask()
        return self._points.choose(lambda parameter: _suggest(trial, parameter))

    def decide(self, trials: Sequence[SearchTrial], notes: Notes) -> PrunerDecision:
        """Return whether the last trial ends after its last step; `notes` are those of before this step."""
        trial = trials[-1]
        study = self._rebuild(trials, notes, self._new_pruner(), RandomSampler(seed=0))
        frozen = study.get_trials(deepcopy=False)[-1]
        is_last = len(trial.steps) >= self._request.epochs
        is_pruned = not is_last and study.pruner.prune(study, frozen)
        return PrunerDecision(is_pruned, study.get_trials(deepcopy=False)[-1].system_attrs)

    def measure_importance(self, trials: Sequence[SearchTrial]) -> dict[str, float] | None:
        """Return the share of each path in the differences of the finished trials' values.

        Source: Watanabe et al. 2023, PED-ANOVA. None for fewer than four finished trials.
        """
        finished = [trial for trial in trials if trial.status == "finished"]
        if len(finished) < MIN_FOR_IMPORTANCE:
            return None
        study = self._rebuild(finished, {}, NopPruner(), RandomSampler(seed=0))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            shares = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator())
        return {path: share for path, share in shares.items() if math.isfinite(share)}

    def _new_sampler(self, number: int) -> BaseSampler:
        seed = _draw_seed(self._request.seed, number)
        if self._request.sampler == "random":
            return RandomSampler(seed=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return TPESampler(seed=seed, n_startup_trials=min(10, max(3, self._request.trials // 3)))

    def _new_pruner(self) -> BasePruner:
        if self._request.pruner == "none":
            return NopPruner()
        return HyperbandPruner(min_resource=1, max_resource=self._request.epochs, reduction_factor=3)

    def _grid_index(self, number: int) -> int:
        """Return which point of the grid a trial takes: each point once, in an order that depends on the seed.

        The order steps through the grid by a number that has no divisor in common with its size.
        """
        size = self._points.grid_size()
        step = _draw_number(self._request.seed, 0) % size
        while math.gcd(step, size) != 1:
            step += 1
        return (_draw_number(self._request.seed, 1) + number * step) % size

    def _rebuild(
        self, trials: Sequence[SearchTrial], notes: Notes, pruner: BasePruner, sampler: BaseSampler
    ) -> optuna.Study:
        study = optuna.create_study(study_name=STUDY_NAME, direction="minimize", pruner=pruner, sampler=sampler)
        for trial in trials:
            study.add_trial(self._freeze(trial, notes.get(str(trial.number), {})))
        return study

    def _freeze(self, trial: SearchTrial, notes: PrunerNotes) -> FrozenTrial:
        """Return a trial as Optuna knows it.

        A failed trial counts as pruned before its first epoch. Optuna ignores failed trials, and would propose the same
        settings again.
        """
        steps = [] if trial.status == "failed" else trial.steps
        states = {"running": TrialState.RUNNING, "finished": TrialState.COMPLETE}
        found = self._points.parameters_of(trial.parameters)
        return create_trial(
            state=states.get(trial.status, TrialState.PRUNED),
            value=trial.value if trial.status == "finished" else None,
            params={parameter.path: _encode(parameter, trial.parameters[parameter.path]) for parameter in found},
            distributions={parameter.path: _distribution(parameter) for parameter in found},
            intermediate_values=dict(enumerate(steps, start=1)),
            system_attrs=dict(notes),
        )


def _draw_seed(seed: int, number: int) -> int:
    """Return a seed of 32 bits for one decision. Python's own `hash` differs between processes."""
    return _draw_number(seed, number) >> 224


def _draw_number(seed: int, number: int) -> int:
    """Return a number of 256 bits. A grid needs so many, because it may have more than 2**32 points."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{number}".encode()).digest(), "big")


def _distribution(parameter: SearchParameter) -> BaseDistribution:
    domain = parameter.domain
    if domain.choice is not None:
        return CategoricalDistribution(tuple(range(len(domain.choice))))
    low, high = domain.limits
    is_log = domain.log_range is not None
    if domain.is_whole:
        return IntDistribution(int(low), int(high), log=is_log)
    return FloatDistribution(low, high, log=is_log)


def _encode(parameter: SearchParameter, value: JsonValue) -> Any:
    """Return a value as Optuna stores it: choices by index, because it takes no JSON objects."""
    return value if parameter.domain.choice is None else parameter.index_of(value)


def _suggest(trial: optuna.Trial, parameter: SearchParameter) -> JsonValue:
    domain = parameter.domain
    if domain.choice is not None:
        return domain.choice[trial.suggest_categorical(parameter.path, tuple(range(len(domain.choice))))]
    low, high = domain.limits
    is_log = domain.log_range is not None
    if domain.is_whole:
        return int(trial.suggest_int(parameter.path, int(low), int(high), log=is_log))
    return float(trial.suggest_float(parameter.path, low, high, log=is_log))
