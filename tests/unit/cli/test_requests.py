"""The command sends what the user gave, and follows jobs by events or by asking again."""

import hashlib
import json
import os
from pathlib import Path
from zipfile import ZipFile

import pytest

from services.cli.app import COMMANDS
from services.cli.client import Client
from services.cli.demo import read_image
from tests.polling import wait_until
from tests.unit.cli.fake_gateway import Answer, FakeGateway, fake_gateway, run_command


def training(status: str, epochs: int = 0) -> dict:
    epoch = {"loss": 1.0, "accuracy": 0.5, "test_loss": 1.0, "test_accuracy": 0.5, "seconds": 1.0}
    history = [{"epoch": number + 1, **epoch} for number in range(epochs)]
    run = {"status": status, "epoch": epochs, "epochs": 2, "history": history, "error": None, "overlapped": False}
    return {
        "id": "1",
        "status": status,
        "name": "m",
        "version": 1,
        "runs": {"pytorch": {**run, "examples_per_second": 5.0}},
        "comparisons": [],
    }


def event(state: dict) -> bytes:
    return b"id: 7\nevent: state\ndata: " + json.dumps(state).encode() + b"\n\n"


def test_a_job_is_followed_by_events_which_end_with_the_job() -> None:
    stream = b"retry: 1000\n\n" + event(training("running", 1)) + b": \n\n" + event(training("succeeded", 2))
    answers = {
        "POST /v1/trainings": Answer(training("queued"), 202),
        "GET /v1/trainings/1": Answer(training("queued")),
        "GET /v1/trainings/1/events": Answer(stream, media_type="text/event-stream"),
    }
    with fake_gateway(answers) as gateway:
        answer = gateway.run("train", "--plain")
    assert [path for _, path, _ in gateway.requests] == ["/v1/trainings", "/v1/trainings/1", "/v1/trainings/1/events"]
    assert [line for line in answer.stdout.splitlines() if line.startswith("pytorch:")] == [
        "pytorch: queued",
        "pytorch: running",
        "pytorch: epoch 1 of 2: loss 1.0000, accuracy 50.00 %, test accuracy 50.00 %",
        "pytorch: epoch 2 of 2: loss 1.0000, accuracy 50.00 %, test accuracy 50.00 %",
        "pytorch: succeeded",
    ]


def test_a_stream_that_breaks_off_and_a_server_without_events_are_asked_again() -> None:
    broken = Answer(event(training("running"))[:-9], media_type="text/event-stream")
    states = [Answer(training("queued")), Answer(training("running", 1)), Answer(training("succeeded", 2))]
    for answers in ({"GET /v1/trainings/1/events": broken}, {}):
        with fake_gateway({"GET /v1/trainings/1": [*states], **answers}) as gateway:
            shown: list[str] = []
            job = Client(gateway.url).follow("/v1/trainings/1", lambda job, shown=shown: shown.append(job["status"]))
        assert job["status"] == "succeeded"
        assert shown == ["queued", "running", "succeeded"]


def submitted(gateway: FakeGateway, *arguments: str, stdin: bytes = b"") -> dict:
    gateway.requests.clear()
    assert gateway.run(*arguments, "--detach", stdin=stdin).exit_code == 0
    return json.loads(gateway.requests[0][2])


def test_a_training_sends_only_what_the_user_gave(tmp_path: Path) -> None:
    network = {"layers": [{"kind": "flatten"}]}
    file = tmp_path / "n.json"
    file.write_text(json.dumps(network))
    with fake_gateway({"POST /v1/trainings": Answer({"id": "1"}, 202)}) as gateway:
        assert submitted(gateway, "train") == {"network": "article"}
        assert submitted(gateway, "train", str(file))["network"] == network
        assert submitted(gateway, "train", "-", stdin=file.read_bytes())["network"] == network
        options = ["--backend", "a", "--backend", "b", "--epochs", "2", "--learning-rate", "0.5", "--seed", "0"]
        assert submitted(gateway, "train", "mlp", *options) == {
            "network": "mlp",
            "backends": ["a", "b"],
            "epochs": 2,
            "seed": 0,
            "optimizer": {"name": "sgd", "learning_rate": 0.5},
        }


def test_many_pictures_are_sent_in_requests_of_64(tmp_path: Path) -> None:
    for number in range(130):
        (tmp_path / f"{number:03}.png").write_bytes(b"picture")
    image = {"name": "x", "agree": None, "results": {}, "warnings": []}
    path = "/v1/predictions?model=welcome&version=stable&backends=a%2Cb"
    with fake_gateway({f"POST {path}": Answer({"images": [image], "errors": {}})}) as gateway:
        options = ["--version", "stable", "--backend", "a", "--backend", "b", "--json"]
        answer = gateway.run("predict", *options, *map(str, sorted(tmp_path.iterdir())))
    assert [body.count(b'name="image"') for _, _, body in gateway.requests] == [64, 64, 2]
    assert len(json.loads(answer.stdout)["images"]) == 3


def test_a_folder_is_zipped_alike_whatever_its_times_and_its_order(tmp_path: Path) -> None:
    entry = {"classes": ["a", "b"], "sizes": {"train": 2}, "notes": []}
    digests = set()
    with fake_gateway({"PUT /v1/datasets/my-digits": Answer(entry, 201)}) as gateway:
        for order in (["a", "b"], ["b", "a"]):
            folder = tmp_path / "".join(order) / "My Digits"
            for number, name in enumerate(order):
                (folder / name).mkdir(parents=True)
                (folder / name / "1.png").write_text(name)
                os.utime(folder / name / "1.png", (number, number))
            (folder / ".hidden").touch()
            (folder / "a" / "link.png").symlink_to("/etc/passwd")
            answer = gateway.run("data", "upload", str(folder))
            assert "my-digits: 2 classes, 2 pictures in train." in answer.stdout
            digests.add(hashlib.sha256(gateway.requests[-1][2]).hexdigest())
    assert len(digests) == 1
    sent = tmp_path / "sent.zip"
    sent.write_bytes(gateway.requests[-1][2])
    with ZipFile(sent) as archive:
        assert archive.namelist() == ["a/1.png", "b/1.png"]


def test_the_demo_needs_no_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with fake_gateway({"GET /v1/datasets/digits/pictures/test/0.png": Answer(b"picture")}) as gateway:
        assert read_image(Client(gateway.url), "digits") == ("test picture 0", b"picture")


def test_an_interrupted_download_leaves_the_old_file(tmp_path: Path) -> None:
    place = tmp_path / "weights"
    place.write_text("old")
    with fake_gateway({}) as gateway:
        assert gateway.run("models", "download", "m", "b", "1", "-o", str(place)).exit_code == 1
    assert place.read_text() == "old"
    assert list(tmp_path.iterdir()) == [place]


def test_prune_asks_and_deletes_only_after_a_yes() -> None:
    answers = {
        "GET /v1/models": Answer({"models": [{"name": "m", "versions": {"b": [1, 2]}}]}),
        "GET /v1/models/m": Answer({"versions": {"b": [1, 2]}, "aliases": {}}),
        "DELETE /v1/models/m/b/1": Answer({"id": "d"}, 202),
        "GET /v1/deletions/d": Answer({"id": "d", "status": "succeeded"}),
    }
    with fake_gateway(answers) as gateway:
        refused = gateway.run("prune", "--keep", "1", stdin=b"n\n")
        tried = gateway.run("prune", "--keep", "1", "--dry-run")
        assert not any(method == "DELETE" for method, _, _ in gateway.requests)
        done = gateway.run("prune", "--keep", "1", stdin=b"y\n")
    assert (refused.exit_code, tried.exit_code, done.exit_code) == (1, 0, 0)
    assert "Deleted m b version 1." in done.stdout


def complete(url: str) -> str:
    """Return what is proposed after `tandem compare m`."""
    environ = {"_TANDEM_COMPLETE": "bash_complete", "COMP_WORDS": "tandem compare m", "COMP_CWORD": "2"}
    answer = run_command(TANDEM_URL=url, **environ)
    assert answer.stderr == ""
    return answer.stdout.strip()


def test_names_are_completed_from_the_server_and_nothing_if_it_does_not_answer() -> None:
    models = {"models": [{"name": "mlp-mnist"}, {"name": "welcome"}]}
    with fake_gateway({"GET /v1/models": Answer(models)}) as gateway:  # on a busy machine it may answer too late
        wait_until(lambda: complete(gateway.url) == "plain,mlp-mnist", message="the name is not completed")
    assert complete("http://127.0.0.1:9") == ""


def test_the_completion_scripts_name_the_command() -> None:
    for shell in ("bash", "zsh"):
        assert f"_TANDEM_COMPLETE={shell}_complete" in run_command("completion", shell).stdout


def test_the_page_has_another_address_outside_a_container() -> None:
    environ = {"TANDEM_URL": "http://gateway:8080", "TANDEM_PAGE_URL": "localhost:9"}
    assert run_command("open", "train", "--print", **environ).stdout == "http://localhost:9/train\n"
    assert run_command("--url", "http://other", "open", "--print", **environ).stdout == "http://other/\n"


def test_every_command_has_a_help_text_that_begins_as_the_list_says() -> None:
    listed = run_command("--help").stdout
    for name, entry in COMMANDS.items():
        assert f"  {name} " in listed
        assert run_command(name, "--help").exit_code == 0
        assert entry.help.endswith(".")
