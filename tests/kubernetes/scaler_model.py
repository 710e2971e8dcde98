"""A model of what KEDA and Kubernetes do with the number of trainers, on random traces of jobs.

    .venv/test/bin/python -m tests.kubernetes.scaler_model --traces 10000

Three parts decide, each by its own clock:

- KEDA polls a figure every `pollingInterval`. It starts the first replica when the figure exceeds 0, and stops all when
  the figure has been 0 for `cooldownPeriod` (https://keda.sh/docs/latest/reference/scaledobject-spec/).
- The autoscaler (HPA) reads the same figure every 15 s while there are replicas, and wants ceil(figure / target). A
  difference of at most a tenth changes nothing. `behavior` bounds its steps
  (https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#algorithm-details).
- The Deployment starts and stops pods. Of those that run it stops any: it does not know which of them work. So does the
  model, at random. A pod that is told to stop may have taken a job since the figure was read.

Also at random: how long a pod takes to start, times at which the figure cannot be read, and pods that die. The job of a
dead pod counts as running until another trainer has found it.

The model covers the decisions, not the network or the scheduler: a pod always finds a node.
"""

import argparse
import heapq
import random
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from tests.kubernetes.scaler_settings import DEFAULT_STABILIZATION_S, ScalerSettings, read_settings

SYNC_S = 15.0  # --horizontal-pod-autoscaler-sync-period
TOLERANCE = 0.1  # --horizontal-pod-autoscaler-tolerance
FOUND_DEAD_AFTER_S = 5.0  # shared/jobs/reaper.py
STOP_DELAY_S = 5.0  # at most, from the reading of the figure to SIGTERM
GIVE_UP_S = 30_000.0  # a trace that lasts so long never ends


@dataclass(eq=False)
class Job:
    """A job: when it arrives, and how many seconds of work are left. `began_s` is of its present attempt."""

    arrives_s: float
    left_s: float
    began_s: float = 0.0


@dataclass(eq=False)
class Pod:
    """A trainer's pod."""

    is_started: bool = False
    is_gone: bool = False
    job: Job | None = None


@dataclass
class Outcome:
    """What happened in one trace, or in several.

    Attributes:
        jobs: jobs that ended.
        stopped: jobs that ran when the figure was read, and were stopped by the scaler's decision.
        stopped_as_they_began: jobs that a pod took between the reading and SIGTERM. They lose less than STOP_DELAY_S.
        too_few: decisions that wanted fewer replicas than jobs ran.
        stuck: traces that never end: a job is never performed again, or replicas are never stopped.
        rises: polls that found work while there were no replicas.
        late_rises: those after which fewer replicas than unfinished jobs were wanted at the next poll.
        idle_s: seconds that started pods waited without work.
    """

    jobs: int = 0
    stopped: int = 0
    stopped_as_they_began: int = 0
    too_few: int = 0
    stuck: int = 0
    rises: int = 0
    late_rises: int = 0
    idle_s: float = 0.0

    def add(self, other: "Outcome") -> None:
        """Add the figures of another outcome."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)


class Cluster:
    """One backend's trainers, its queue, and what scales them.

    Args:
        settings: of the scaler.
        jobs: the trace.
        chance: decides everything random.
    """

    def __init__(self, settings: ScalerSettings, jobs: list[Job], chance: random.Random) -> None:
        self.settings, self.outcome = settings, Outcome()
        self._chance = chance
        self._events: list[tuple[float, int, Callable[[Any], None], Any]] = []
        self._count = 0
        self._now_s = 0.0
        self._queue: deque[Job] = deque()
        self._lost: list[Job] = []  # jobs of dead pods that no trainer has found yet
        self._pods: list[Pod] = []
        self._victims: set[Pod] = set()  # pods that will be told to stop
        self._wanted = settings.least
        self._active_s = float("-inf")
        self._wishes: deque[tuple[float, int]] = deque()
        self._blind: tuple[float, float] = (0.0, 0.0)  # from when to when the figure cannot be read
        self._due: int | None = None  # the replicas that are to be wanted before the next poll
        self._open = len(jobs)
        for job in jobs:
            self._at(job.arrives_s, self._arrive, job)
        self._at(chance.uniform(0, settings.poll_s), self._poll)
        self._at(chance.uniform(0, SYNC_S), self._sync)
        if chance.random() < 0.3:
            start_s = chance.uniform(0, jobs[-1].arrives_s + 60)
            self._blind = (start_s, start_s + chance.uniform(5, 120))
        for _ in range(chance.choice((0, 0, 1, 2))):
            self._at(chance.uniform(0, jobs[-1].arrives_s + 300), self._die)

    def run(self) -> Outcome:
        """Play the trace until every job has ended and, if the settings allow it, no replica is left."""
        while self._open or self._wanted > self.settings.least or self._pods:
            at_s, _, handle, about = heapq.heappop(self._events)
            idle = sum(1 for pod in self._pods if pod.is_started and pod.job is None)
            self.outcome.idle_s += idle * (at_s - self._now_s)
            self._now_s = at_s
            if at_s > GIVE_UP_S:
                self.outcome.stuck = 1
                break
            handle(about)
            if not self._open and self.settings.least:
                break
        return self.outcome

    @property
    def _running(self) -> int:
        return sum(1 for pod in self._pods if pod.job) + len(self._lost)

    def _read(self) -> int | None:
        """Return the figure, or None while it cannot be read."""
        if self._blind[0] <= self._now_s < self._blind[1]:
            return None
        return len(self._queue) + (self._running if self.settings.figure == "unfinished" else 0)

    def _poll(self, _: None) -> None:
        self._at(self._now_s + self.settings.poll_s, self._poll)
        if self._due is not None:
            self.outcome.late_rises += self._wanted < self._due
            self._due = None
        found = self._read()
        if found is None:
            return  # KEDA changes nothing while a trigger reports an error
        if found > 0:
            self._active_s = self._now_s
            if self._wanted == 0:
                self.outcome.rises += 1
                self._due = min(found, self.settings.most)
                self._want(1)
        elif self.settings.least == 0 and self._now_s - self._active_s > self.settings.cooldown_s:
            self._want(0)

    def _sync(self, _: None) -> None:
        self._at(self._now_s + SYNC_S, self._sync)
        found, current = self._read(), self._wanted
        if self._due is not None:  # jobs may have ended since, and nobody can follow a figure that cannot be read
            self._due = min(self._due, found or 0)
        if current == 0 or found is None:
            return
        ratio = found / (self.settings.target * current)
        wish = current if abs(ratio - 1) <= TOLERANCE else -int(-found // self.settings.target)
        wish = min(max(wish, self.settings.least, 1), self.settings.most)
        if wish >= current:
            wish = min(wish, current + self.settings.step_up)
        self._wishes.append((self._now_s, wish))
        while self._wishes[0][0] < self._now_s - self.settings.stabilization_s:
            self._wishes.popleft()
        if wish < current:
            wish = min(current, max(number for _, number in self._wishes)) if self.settings.lowers else current
        self._want(wish)

    def _want(self, number: int) -> None:
        """Set the number of replicas, as KEDA and the HPA do, and start or stop pods."""
        self.outcome.too_few += number < min(self._running - len(self._lost), self.settings.most)
        if number == 0:
            self._wishes.clear()
        self._wanted = number
        self._match_pods()

    def _match_pods(self) -> None:
        living = [pod for pod in self._pods if pod not in self._victims]
        for _ in range(self._wanted - len(living)):
            pod = Pod()
            self._pods.append(pod)
            self._at(self._now_s + self._chance.uniform(3, 60), self._start, pod)
        surplus = len(living) - self._wanted
        if surplus > 0:
            self._chance.shuffle(living)
            living.sort(key=lambda pod: pod.is_started)  # pods that are not ready are stopped first
            for pod in living[:surplus]:
                self._victims.add(pod)
                self._at(self._now_s + self._chance.uniform(0, STOP_DELAY_S), self._stop, (pod, self._now_s))

    def _stop(self, about: tuple[Pod, float]) -> None:
        """Tell a pod to stop. It returns its job to the front of the queue, with the work that is left."""
        pod, decided_s = about
        self._victims.discard(pod)
        if pod.is_gone:
            return
        if pod.job:
            if pod.job.began_s <= decided_s:
                self.outcome.stopped += 1
            else:
                self.outcome.stopped_as_they_began += 1
            pod.job.left_s -= self._now_s - pod.job.began_s
            self._queue.appendleft(pod.job)
        self._remove(pod)
        self._give_out()

    def _die(self, _: None) -> None:
        if not self._pods:
            return
        pod = self._chance.choice(self._pods)
        if pod.job:
            self._lost.append(pod.job)
            self._at(self._now_s + FOUND_DEAD_AFTER_S, self._find, pod.job)
        self._victims.discard(pod)
        self._remove(pod)
        self._match_pods()

    def _find(self, job: Job) -> None:
        """Queue the job of a dead pod again, if a trainer is there that looks after the queue."""
        if any(pod.is_started for pod in self._pods):
            self._lost.remove(job)
            self._queue.appendleft(job)
            self._give_out()
        else:
            self._at(self._now_s + FOUND_DEAD_AFTER_S, self._find, job)

    def _remove(self, pod: Pod) -> None:
        pod.job, pod.is_gone = None, True
        self._pods.remove(pod)

    def _arrive(self, job: Job) -> None:
        self._queue.append(job)
        self._give_out()

    def _start(self, pod: Pod) -> None:
        pod.is_started = not pod.is_gone
        self._give_out()

    def _give_out(self) -> None:
        for pod in self._pods:
            if not self._queue:
                return
            if pod.is_started and pod.job is None:
                pod.job = self._queue.popleft()
                pod.job.began_s = self._now_s
                self._at(self._now_s + pod.job.left_s, self._end, (pod, pod.job, self._now_s))

    def _end(self, about: tuple[Pod, Job, float]) -> None:
        pod, job, began_s = about
        if pod.is_gone or pod.job is not job or job.began_s != began_s:
            return  # this attempt was stopped before it ended
        pod.job = None
        self._open -= 1
        self.outcome.jobs += 1
        self._give_out()

    def _at(self, at_s: float, handle: Callable[[Any], None], about: Any = None) -> None:
        self._count += 1
        heapq.heappush(self._events, (at_s, self._count, handle, about))


def make_trace(chance: random.Random) -> list[Job]:
    """Return up to 16 jobs in the order of their arrival: single ones and bursts, of a second to half an hour each."""
    jobs: list[Job] = []
    at_s = 0.0
    for _ in range(chance.randint(1, 5)):
        at_s += chance.choice((chance.uniform(0, 30), chance.expovariate(1 / 400)))
        for _ in range(chance.choice((1, 1, 2, 3, 6))):
            jobs.append(Job(at_s, min(1800.0, chance.lognormvariate(3.5, 1.5))))
    return jobs[:16]


def play(settings: ScalerSettings, traces: int, seed: int = 0) -> Outcome:
    """Play random traces, and return the sum of their outcomes. The same seed gives the same traces."""
    total = Outcome()
    for number in range(traces):
        chance = random.Random(f"{seed}-{number}")
        total.add(Cluster(settings, make_trace(chance), chance).run())
    return total


def main() -> int:
    """Print one line for each way of scaling."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--traces", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parsed = parser.parse_args()
    ours = read_settings()
    ways = {
        "the manifests": ours,
        "queued and running, HPA stops pods": replace(ours, lowers=True, stabilization_s=DEFAULT_STABILIZATION_S),
        "queued only (Redis list)": replace(
            ours, figure="queued", lowers=True, stabilization_s=DEFAULT_STABILIZATION_S
        ),
    }
    for name, settings in ways.items():
        print(f"{name}: {play(settings, parsed.traces, parsed.seed)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
