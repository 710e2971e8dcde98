"""The job of a search: trial after trial, then the winner.

The trials that Redis holds are the only state. If the process is killed, the next one reads them and continues: what it
proposes and decides depends on them alone, and what it submits has the same Idempotency-Keys.
"""

from typing import Any

from rq.timeouts import JobTimeoutException

from services.pipelines.gateway_client import GatewayClient, RefusedError
from services.pipelines.search.agreement import compare_rankings
from services.pipelines.search.proposals import Proposals
from services.pipelines.search.trials import TrialJudge
from services.pipelines.submitted_jobs import SubmittedJobs, describe_errors
from shared.errors import InvalidRequestError, SupersededError
from shared.jobs.run_state import CANCELLED, SUCCEEDED, Run
from shared.jobs.search_points import SearchPoints
from shared.jobs.searches import SearchJob, SearchProgress, SearchRun, SearchTrial, SearchWinner

TRAININGS, EVALUATIONS = "/v1/trainings", "/v1/evaluations"
# The default of a search. With a constant rate, chance decides how good the weights of the last epoch are, so that the
# best settings are found less often, and the winner is worse (benchmarks/README.md, "Search").
SCHEDULE = "cosine"
# The gateway cannot carry out this training: it is the trial's fault. Any other refusal ends the search.
REFUSALS = (404, 409, 422)


def perform_search(client: GatewayClient, run: Run, job: SearchJob) -> None:
    """Perform a search's job.

    Raises:
        InvalidRequestError: no trial could be trained, or the winner could not.
        JobTimeoutException: it takes too long.
        RefusedError: the gateway refuses a request that does not depend on the trial.
        SupersededError: the search was cancelled, or another process has taken it over.
        UnavailableError: the gateway does not answer for a long time.
    """
    search = _Search(client, run, job)
    try:
        search.perform()
    except SupersededError:
        if run.read().get("status") == CANCELLED:  # else another process goes on with the job that is waited for
            search.cancel_job()
        raise
    except JobTimeoutException:
        search.cancel_job()
        raise


class _Search:
    """One search. `_state` is what Redis holds, or what the next report writes there."""

    def __init__(self, client: GatewayClient, run: Run, job: SearchJob) -> None:
        self._run, self._job, self._request = run, job, job.request
        self._jobs = SubmittedJobs(client, run, f"search-{job.id}")
        self._points = SearchPoints(job.space, job.request.training)
        self._proposals = Proposals(job.request, self._points)
        self._state = SearchRun.model_validate(run.read())

    def perform(self) -> None:
        """Perform what is left of the search; raises as `perform_search`."""
        trials, planned = self._state.trials, self._proposals.count_trials()
        if trials and trials[-1].status in ("pruned", "failed"):
            self._cancel_training(trials[-1])  # in case the last process could not
        while len(trials) < planned or (trials and trials[-1].status == "running"):
            if not trials or trials[-1].status != "running":
                point = self._proposals.propose(trials, self._state.pruner_notes)
                trials.append(SearchTrial(number=len(trials) + 1, parameters=point))
            self._perform_trial(trials[-1])
        self._find_winner(self._best_trial())
        self._run.finish(SUCCEEDED)

    def cancel_job(self) -> None:
        """Cancel the job that the search waits for."""
        self._jobs.cancel_followed()

    # Trials ----------------------------------------------------------------

    def _perform_trial(self, trial: SearchTrial) -> None:
        judge = TrialJudge(self._proposals, self._state.trials, self._state.pruner_notes)
        self._report(f"trial {trial.number}: waits for a trainer")
        try:
            for training in self._jobs.follow(TRAININGS, self._body_of(trial), f"trial-{trial.number}"):
                trial.training = training["id"]
                has_ended = judge.judge(training)
                self._report_trial(trial)
                if has_ended:
                    break
        except InvalidRequestError as error:
            judge.fail(str(error))
        except RefusedError as error:
            if error.status not in REFUSALS:
                raise
            judge.fail(str(error))
        if trial.status in ("pruned", "failed"):
            self._cancel_training(trial)
        self._summarise()
        self._report(f"trial {trial.number}: {trial.status}")

    def _body_of(self, trial: SearchTrial) -> dict[str, object]:
        return {
            **self._training_of(trial),
            "name": f"{self._job.name}-trial-{trial.number}",
            "validation": self._request.validation,
            "publish": False,
        }

    def _training_of(self, trial: SearchTrial) -> dict[str, object]:
        """Return the fields that a trial and, if it wins, the winner's training have in common.

        Raises:
            InvalidRequestError: the trial's values do not fit each other.
        """
        try:
            own = self._points.training_of(trial.parameters, self._job.input_shape, self._job.classes)
        except LookupError as error:
            raise InvalidRequestError(str(error)) from None
        return {
            "schedule": SCHEDULE,
            **own,
            "dataset": self._request.dataset,
            "data_version": self._job.data_version,
            "backends": self._request.backends,
            "epochs": self._request.epochs,
            "seed": self._request.seed,
        }

    def _cancel_training(self, trial: SearchTrial) -> None:
        if trial.training:
            self._jobs.cancel(f"{TRAININGS}/{trial.training}")

    # Results ---------------------------------------------------------------

    def _best_trial(self) -> SearchTrial:
        """Return the finished trial with the smallest value.

        Raises:
            InvalidRequestError: no trial has finished.
        """
        trials = self._state.trials
        finished = [trial for trial in trials if trial.status == "finished"]
        if not finished:
            errors = dict.fromkeys(trial.error for trial in trials if trial.error)
            first = next(iter(errors), None)
            raise InvalidRequestError(
                f"none of the {len(trials)} trials could be trained to the end"
                + (f"; the first: {first}" if first else "")
            )
        return min(finished, key=lambda trial: (trial.value, trial.number))

    def _summarise(self) -> None:
        """Update what is said about the trials so far."""
        trials, state = self._state.trials, self._state
        if any(trial.status == "finished" for trial in trials):
            state.best = self._best_trial().number
        state.importance = self._proposals.measure_importance(trials)
        state.agreement = compare_rankings(trials, self._request.backends or [], self._request.seed)

    def _find_winner(self, best: SearchTrial) -> None:
        """Train the best settings on the whole training split, publish the models, and measure them on the test split.

        Raises:
            InvalidRequestError: they could not be trained or measured.
        """
        body = {**self._training_of(best), "name": self._job.name, "validation": 0.0, "publish": True}
        training: Any = None
        for training in self._jobs.follow(TRAININGS, body, "winner"):
            winner = self._state.winner = SearchWinner(
                training=training["id"], name=self._job.name, version=training["version"]
            )
            self._report(f"trains the settings of trial {best.number} on the whole training split")
        _check_succeeded(training, f"the settings of trial {best.number} are the best, but their training")
        asked = {
            "model": winner.name,
            "version": winner.version,
            "data_version": self._job.data_version,
            "split": "test",
            "backends": self._request.backends,
        }
        evaluation: Any = None
        for evaluation in self._jobs.follow(EVALUATIONS, asked, "evaluation"):
            winner.evaluation = evaluation["id"]
            self._report("measures the winner on the test split")
        _check_succeeded(evaluation, f"version {winner.version} of {winner.name} is published, but its evaluation")
        winner.test_accuracy = {backend: found["accuracy"] for backend, found in evaluation["results"].items()}
        winner.test_loss = {backend: found["loss"] for backend, found in evaluation["results"].items()}
        self._report("has ended")

    # Reports ---------------------------------------------------------------

    def _report_trial(self, trial: SearchTrial) -> None:
        self._report(f"trial {trial.number}: epoch {len(trial.steps)} of {self._request.epochs}")

    def _report(self, doing: str) -> None:
        """Write the state to Redis in one step, so that a killed process leaves either the old or the new state."""
        state = self._state
        state.progress = SearchProgress(
            trials_done=sum(trial.status != "running" for trial in state.trials),
            trials=self._proposals.count_trials(),
            epochs_spent=sum(len(trial.steps) for trial in state.trials),
            doing=doing,
        )
        self._run.report(
            trials=state.trials,
            pruner_notes=state.pruner_notes,
            progress=state.progress,
            best=state.best,
            importance=state.importance,
            agreement=state.agreement,
            winner=state.winner,
        )


def _check_succeeded(state: Any, what: str) -> None:
    """Check that a job has succeeded.

    Args:
        state: the job's last state.
        what: begins the message.

    Raises:
        InvalidRequestError: it has not.
    """
    if state["status"] == SUCCEEDED:
        return
    raise InvalidRequestError(f"{what} {state['status']}: {describe_errors(state)}")
