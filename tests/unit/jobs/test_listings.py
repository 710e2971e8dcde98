"""Lists of work: pages that fit together, expired records, and searches."""

import pytest
from redis import Redis

from shared.errors import InvalidRequestError
from shared.jobs import listings
from shared.jobs.job_queue import JobQueue
from shared.jobs.kinds import EVALUATION, TRAINING
from shared.jobs.listings import PageRequest
from shared.jobs.payloads import EvaluationJob, TrainingJob, TrainingRequest
from shared.jobs.results import Epoch, EvaluationResult, RunState, TrainingRun
from shared.jobs.run_state import FAILED, QUEUED, Run
from shared.network.description import Network
from shared.settings import Settings

NETWORK = Network.model_validate(
    {"input_shape": [8, 8, 1], "layers": [{"kind": "flatten"}, {"kind": "dense", "units": 10}]}
)


@pytest.fixture
def jobs(redis: Redis, settings: Settings) -> JobQueue:
    return JobQueue(redis, settings.model_copy(update={"max_queued": 5000}), b"key")


def evaluate(jobs: JobQueue, model: str) -> str:
    job = EvaluationJob(model=model, version=1, dataset="digits", split="test", asked=["toy"])
    return jobs.submit(EVALUATION, job, {"toy": RunState(status=QUEUED)})


def train(jobs: JobQueue, name: str, network: str = "mlp") -> str:
    job = TrainingJob(name=name, request=TrainingRequest(network=network, dataset="digits"), network=NETWORK)
    run = TrainingRun(status=QUEUED, epoch=0, epochs=3, history=[])
    return jobs.submit(TRAINING, job, {"toy": run, "other": run}, newest_published=0)


def list_all(jobs: JobQueue, limit: int, search: str = "") -> list[list[str]]:
    """Return the ids of every page."""
    pages, before = [], None
    while True:
        page = jobs.list_page(EVALUATION, PageRequest(limit, before, search))
        pages.append([record.job.id for record in page.records])
        before = page.next
        if before is None:
            return pages


def test_pages_fit_together_and_only_the_last_one_is_short(jobs: JobQueue) -> None:
    submitted = [evaluate(jobs, f"model-{number}") for number in range(7)]
    newest_first = submitted[::-1]
    assert list_all(jobs, 3) == [newest_first[:3], newest_first[3:6], newest_first[6:]]
    assert list_all(jobs, 7) == [newest_first]
    assert list_all(jobs, 200) == [newest_first]


def test_without_work_the_only_page_is_empty(jobs: JobQueue) -> None:
    assert list_all(jobs, 3) == [[]]


@pytest.mark.parametrize("search", ["", "digits"])
def test_expired_records_leave_no_gaps_in_pages(jobs: JobQueue, redis: Redis, search: str) -> None:
    submitted = [evaluate(jobs, f"model-{number}") for number in range(9)]
    for identity in submitted:
        Run(redis, "evaluation", identity, "toy", EvaluationResult).settle(FAILED, "it broke")
    assert list_all(jobs, 9, search) == [submitted[::-1]], "from now on, a search knows the texts"
    for identity in submitted[2:7]:
        redis.delete(f"tandem:evaluation:{identity}")
    assert list_all(jobs, 3, search) == [[submitted[8], submitted[7], submitted[1]], [submitted[0]]]


def test_a_page_behind_unknown_work_is_refused(jobs: JobQueue) -> None:
    evaluate(jobs, "model")
    with pytest.raises(InvalidRequestError, match=r"there is no evaluation '0{32}'"):
        jobs.list_page(EVALUATION, PageRequest(3, "0" * 32))


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("RED", ["red-model"]),
        ("model", ["red-model", "blue-model"]),
        ("  model   lenet5 ", ["blue-model"]),
        ("digits other QUEUED", ["red-model", "blue-model"]),
        ("mlp lenet5", []),
        ("cancelled", []),
    ],
)
def test_each_word_of_a_search_occurs_in_what_is_found(jobs: JobQueue, search: str, found: list[str]) -> None:
    train(jobs, "blue-model", "lenet5")
    train(jobs, "red-model")
    page = jobs.list_page(TRAINING, PageRequest(50, search=search))
    assert [record.job.name for record in page.records] == found
    assert page.next is None


def test_a_search_finds_an_id_and_a_status(jobs: JobQueue) -> None:
    ids = [train(jobs, "model") for _ in range(3)]
    jobs.cancel(TRAINING, ids[1])
    for search in (ids[1][:12].upper(), "cancelled"):
        assert [record.job.id for record in jobs.list_page(TRAINING, PageRequest(50, search=search)).records] == [
            ids[1]
        ]


def test_a_search_stops_after_a_bounded_number_of_records_and_says_where_to_go_on(
    jobs: JobQueue, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listings, "CHUNK", 2)
    monkeypatch.setattr(listings, "MAX_SEARCHED", 4)
    rare = evaluate(jobs, "rare")
    for number in range(9):
        evaluate(jobs, f"common-{number}")
    pages = list_all(jobs, 1, "rare")
    assert pages == [[], [], [rare]]
    assert sum(len(page) for page in list_all(jobs, 3, "common")) == 9


@pytest.mark.parametrize("search", ["", "model"])
def test_a_list_of_trainings_can_leave_out_all_but_the_newest_epoch(jobs: JobQueue, redis: Redis, search: str) -> None:
    identity = train(jobs, "model")
    run = Run(redis, "training", identity, "toy", TrainingRun)
    assert run.start()
    for number in (1, 2):
        run.report_epoch(Epoch(epoch=number, loss=1, accuracy=0, test_loss=1, test_accuracy=0, seconds=1))
    for only, epochs in ((False, [1, 2]), (True, [2])):
        (record,) = jobs.list_page(TRAINING, PageRequest(1, search=search, newest_epoch_only=only)).records
        assert record.runs["toy"].epoch == 2
        assert [entry.epoch for entry in record.runs["toy"].history] == epochs
        assert (record.runs["other"].epoch, record.runs["other"].history) == (0, [])


def test_a_listed_record_is_the_record_that_reading_returns(jobs: JobQueue) -> None:
    identity = evaluate(jobs, "model")
    (record,) = jobs.list_page(EVALUATION, PageRequest(1)).records
    assert record == jobs.read(EVALUATION, identity)
    assert isinstance(record.runs["toy"], EvaluationResult)


def count_commands(redis: Redis) -> int:
    return redis.info("stats")["total_commands_processed"]


def test_a_page_costs_the_same_however_much_work_there_is(jobs: JobQueue, redis: Redis) -> None:
    costs = []
    for more in (5, 40):
        for number in range(more):
            train(jobs, f"model-{number}")
        before = count_commands(redis)
        jobs.list_page(TRAINING, PageRequest(3))
        costs.append(count_commands(redis) - before)
    assert costs[0] == costs[1]


def test_a_second_search_reads_only_what_it_finds_and_what_has_not_ended(jobs: JobQueue, redis: Redis) -> None:
    submitted = [evaluate(jobs, f"model-{number}") for number in range(30)]
    for identity in submitted[1:]:
        Run(redis, "evaluation", identity, "toy", EvaluationResult).settle(FAILED, "it broke")
    costs = []
    for _ in range(2):
        before = count_commands(redis)
        assert list_all(jobs, 50, "model-7 failed") == [[submitted[7]]]
        costs.append(count_commands(redis) - before)
    assert (costs[0] > 60, costs[1] < 20) == (True, True), costs
    Run(redis, "evaluation", submitted[0], "toy", EvaluationResult).settle(FAILED, "it broke, too")
    assert list_all(jobs, 50, "model-0 failed") == [[submitted[0]]], "its text has changed"
