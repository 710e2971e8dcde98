"""Submitting, listing and expiry, with a real Redis."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from redis import Redis

from shared.errors import ConflictError, NotFoundError, UnavailableError
from shared.jobs.job_queue import DAY_S, JobQueue
from shared.jobs.kinds import DELETION, TRAINING
from shared.jobs.listings import PageRequest
from shared.jobs.payloads import DeletionJob, TrainingJob, TrainingRequest
from shared.jobs.results import Epoch, RunState, TrainingRun
from shared.jobs.run_state import QUEUED, SUCCEEDED, Run
from shared.models.aliases import Aliases
from shared.network.description import Network
from shared.network.layers import Dense, Flatten
from shared.settings import Settings

NETWORK = Network(input_shape=(8, 8, 1), layers=(Flatten(), Dense(units=10)))
SHARED_KEYS = (b"tandem:running", b"tandem:throughput", b"tandem:changes")
EPOCH = Epoch(epoch=1, loss=1, accuracy=0.5, test_loss=1, test_accuracy=0.5, seconds=1)


@pytest.fixture
def queue(redis: Redis, settings: Settings) -> JobQueue:
    return JobQueue(redis, settings, b"0" * 32)


def submit_deletion(queue: JobQueue, *backends: str, version: int = 1) -> str:
    job = DeletionJob(name="m", model_version=version)
    return queue.submit(DELETION, job, dict.fromkeys(backends or ("toy",), RunState(status=QUEUED)))


def submit_training(queue: JobQueue, newest: int = 0) -> str:
    job = TrainingJob(name="m", request=TrainingRequest(), network=NETWORK)
    run = TrainingRun(status=QUEUED, epoch=0, epochs=1, history=[])
    return queue.submit(TRAINING, job, {"toy": run, "other": run}, newest_published=newest)


def test_a_full_queue_refuses_all_jobs_of_a_submission(queue: JobQueue, redis: Redis) -> None:
    for _ in range(3):
        submit_deletion(queue, "toy")
    before = set(redis.keys())
    with pytest.raises(UnavailableError, match="3 jobs of toy wait already"):
        submit_deletion(queue, "other", "toy")
    assert set(redis.keys()) == before
    submit_deletion(queue, "other")


def test_simultaneous_submissions_do_not_exceed_the_limit(queue: JobQueue, redis: Redis) -> None:
    def attempt(_: int) -> bool:
        try:
            return bool(submit_deletion(queue))
        except UnavailableError:
            return False

    with ThreadPoolExecutor(12) as pool:
        accepted = list(pool.map(attempt, range(12)))
    assert accepted.count(True) == redis.llen("rq:queue:toy") == 3


def test_every_key_of_a_training_expires(queue: JobQueue, redis: Redis, settings: Settings) -> None:
    identity = submit_training(queue)
    run = Run(redis, "training", identity, "toy", TrainingRun)
    run.start()
    run.report_epoch(EPOCH)
    run.report_comparison(["toy", "other"], EPOCH)
    run.finish(SUCCEEDED)
    keys = [key for key in redis.keys("tandem:*") if key not in SHARED_KEYS]
    assert {redis.ttl(key) > 0 for key in keys} == {True}
    assert len(keys) == 7  # the index, the version, the record, two runs, the history and the comparisons
    assert redis.ttl(run.key) <= settings.keep_days * DAY_S < redis.ttl(f"tandem:training:{identity}")


def test_work_with_an_expired_part_is_neither_found_nor_listed(queue: JobQueue, redis: Redis) -> None:
    first, second = submit_training(queue), submit_training(queue)
    assert [record.job.id for record in queue.list_page(TRAINING, PageRequest(50)).records] == [second, first]
    redis.delete(f"tandem:training:{second}:other")
    assert [record.job.id for record in queue.list_page(TRAINING, PageRequest(50)).records] == [first]
    with pytest.raises(NotFoundError):
        queue.read(TRAINING, second)
    redis.delete(f"tandem:training:{first}")
    assert queue.list_page(TRAINING, PageRequest(50)).records == []


def test_an_expired_entry_leaves_the_index_when_work_is_submitted(queue: JobQueue, redis: Redis) -> None:
    redis.zadd("tandem:trainings", {"old": 1})
    identity = submit_training(queue)
    assert redis.zrange("tandem:trainings", 0, -1) == [identity.encode()]


def test_a_version_on_the_disk_is_not_given_out_although_its_counter_has_expired(queue: JobQueue, redis: Redis) -> None:
    submit_training(queue)
    redis.delete("tandem:version:m")
    assert queue.read(TRAINING, submit_training(queue, newest=7)).job.version == 8


def test_an_epoch_that_is_reported_twice_is_listed_once(queue: JobQueue, redis: Redis) -> None:
    identity = submit_training(queue)
    run = Run(redis, "training", identity, "toy", TrainingRun)
    run.start()
    for _ in range(2):
        run.report_epoch(EPOCH)
    assert queue.read(TRAINING, identity).runs["toy"].history == [EPOCH]


def test_a_warning_is_shown_once(queue: JobQueue, redis: Redis) -> None:
    identity = submit_training(queue)
    run = Run(redis, "training", identity, "toy", TrainingRun)
    run.start()
    for warning in ("one", "two", "one"):
        run.warn(warning)
    assert queue.read(TRAINING, identity).runs["toy"].warnings == ["one", "two"]


def test_runs_that_overlap_say_so_and_write_their_own_keys_only(queue: JobQueue, redis: Redis) -> None:
    first, second, third = (Run(redis, "training", submit_training(queue), "toy") for _ in range(3))
    first.start()
    second.start()
    first.finish(SUCCEEDED)
    second.finish(SUCCEEDED)
    third.start()
    third.finish(SUCCEEDED)
    overlapped = [queue.read(TRAINING, run.identity).runs["toy"].overlapped for run in (first, second, third)]
    assert overlapped == [True, True, False]


def test_a_run_that_is_restarted_alone_is_not_overlapped_by_itself(queue: JobQueue, redis: Redis) -> None:
    identity = submit_training(queue)
    for _ in range(2):
        run = Run(redis, "training", identity, "toy")
        assert run.start()
    run.finish(SUCCEEDED)
    assert not queue.read(TRAINING, identity).runs["toy"].overlapped


def test_the_set_of_running_ones_of_an_earlier_version_is_replaced(queue: JobQueue, redis: Redis) -> None:
    redis.sadd("tandem:running", "tandem:training:gone:toy")
    run = Run(redis, "training", submit_training(queue), "toy")
    assert run.start()
    run.finish(SUCCEEDED)


def test_a_version_that_is_being_deleted_cannot_become_stable(queue: JobQueue, redis: Redis) -> None:
    identity = submit_deletion(queue, version=1)
    aliases = Aliases(redis)
    with pytest.raises(ConflictError, match="version 1 of m is being deleted"):
        aliases.move("m", "stable", 1, lambda: None)
    aliases.move("m", "stable", 11, lambda: None)
    assert aliases.of("m") == {"stable": 11}
    run = Run(redis, "deletion", identity, "toy")
    run.start()
    run.fail("the disk is full")
    aliases.move("m", "stable", 1, lambda: None)
    assert not redis.exists("tandem:deleting:m"), "the mark of the deletion was left behind"


def test_the_stable_version_cannot_be_deleted(queue: JobQueue, redis: Redis) -> None:
    Aliases(redis).move("m", "stable", 1, lambda: None)
    with pytest.raises(ConflictError, match="version 1 of m is stable"):
        submit_deletion(queue, version=1)
    submit_deletion(queue, version=2)


def test_the_mark_of_a_cancelled_deletion_is_removed(queue: JobQueue, redis: Redis) -> None:
    identity = submit_deletion(queue)
    queue.cancel(DELETION, identity)
    Aliases(redis).remove_old_marks("m")
    assert not redis.exists("tandem:deleting:m")


def test_of_a_simultaneous_deletion_and_release_one_is_refused(queue: JobQueue, redis: Redis) -> None:
    """Repeated, because a race need not show the first time."""
    aliases = Aliases(redis)

    def is_done(action: object) -> bool:
        try:
            action()  # type: ignore[operator]
        except ConflictError:
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        for version in range(1, 101):
            delete = lambda: submit_deletion(queue, version=version)  # noqa: B023, E731 - called in this iteration
            release = lambda: aliases.move("m", "stable", version, lambda: None)  # noqa: B023, E731
            assert list(pool.map(is_done, [delete, release])).count(True) == 1
            redis.delete("rq:queue:toy")
