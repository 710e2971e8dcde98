"""The command's exit status says what went wrong, and its message says what to do."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.cli.fake_gateway import Answer, fake_gateway, run_command


def test_a_server_that_does_not_run_is_status_3_with_the_commands_that_start_one() -> None:
    answer = run_command("--url", "http://127.0.0.1:9", "status")
    assert answer.exit_code == 3
    assert answer.stdout == ""
    assert "http://127.0.0.1:9 does not answer" in answer.stderr
    assert "make up" in answer.stderr
    assert "TANDEM_URL" in answer.stderr


@pytest.mark.parametrize(("status", "exit_code"), [(401, 4), (403, 4), (404, 1), (409, 1), (503, 1), (302, 1)])
def test_a_refusal_is_shown_with_the_servers_words(status: int, exit_code: int) -> None:
    with fake_gateway({"GET /v1/status": Answer({"detail": "because"}, status)}) as gateway:
        answer = gateway.run("status")
    assert answer.exit_code == exit_code
    assert ("because" if status != 302 else "redirects") in answer.stderr


def test_an_answer_without_json_is_an_error() -> None:
    with fake_gateway({"GET /v1/status": Answer(b"<html>", media_type="text/html")}) as gateway:
        answer = gateway.run("status")
    assert answer.exit_code == 1
    assert "no JSON. Is this the address of Tandem?" in answer.stderr


@pytest.mark.parametrize("body", [{}, [1], {"backends": []}])
@pytest.mark.parametrize("command", [["status"], ["models"], ["train", "mlp"], ["predict", "-"], ["token", "list"]])
def test_json_of_another_server_is_an_error_without_a_traceback(body: object, command: list[str]) -> None:
    paths = ["GET /v1/status", "GET /v1/models", "POST /v1/trainings", "GET /v1/tokens"]
    paths.append("POST /v1/predictions?model=welcome")
    with fake_gateway(dict.fromkeys(paths, Answer(body))) as gateway:
        answer = gateway.run(*command, stdin=b"picture")
    assert answer.exit_code == 1
    assert f"the answer of {gateway.url} is not as expected" in answer.stderr


def test_a_missing_token_is_refused_with_the_options_that_name_one() -> None:
    with fake_gateway({"GET /v1/status": Answer({"detail": "because"}, 401)}) as gateway:
        assert "because. Name a token: --token-file or TANDEM_TOKEN." in gateway.run("status").stderr


def test_a_server_that_fails_is_not_taken_for_one_without_the_job() -> None:
    with fake_gateway({"GET /v1/trainings/1": Answer({"detail": "Redis is down"}, 503)}) as gateway:
        assert "Redis is down" in gateway.run("follow", "1").stderr
        missing = gateway.run("cancel", "2").stderr
        assert "there is no job 2 among trainings, loadtests, searches, releases and exports" in missing


def test_an_output_that_cannot_be_written_is_status_2() -> None:
    with fake_gateway({"GET /v1/models": Answer({"models": []})}) as gateway:
        command = f"{sys.executable} -m services.cli --url {gateway.url} models > /dev/full"
        ended = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (2, "Error: the output cannot be used: No space left on device\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--url", "ftp://tandem", "status"], "is no address"),
        (["--token-file", "/nonexistent", "status"], "'/nonexistent' cannot be read"),
        (["--token-file", "/dev/null", "status"], "/dev/null' is empty"),
        (["--token", "a\nb", "status"], "ASCII"),
        (["--url", "http://a b", "status"], "is no address"),
        (["train", "/\x1b[31m\n.json"], "/\\x1b[31m\\x0a.json cannot be read"),
        (["data", "upload", __file__], "is no zip"),
        (["loadtest", "--rate", "0"], "'--rate'"),
        (["predict", "/nonexistent.png"], "/nonexistent.png cannot be read"),
        (["predict", "-"], "standard input is empty"),
        (["train", "/nonexistent.json"], "cannot be read"),
        (["train", "-"], "line 1, column 1"),
        (["loadtest"], "--rate"),
        (["loadtest", "--rate", "1", "--report", "a.pdf"], ".html"),
        (["cancel", "evaluations/1"], "can be cancelled"),
        (["cancel", "a/b/c"], "is no job"),
        (["api", "GET", "/", "-H", "novalue"], "NAME:VALUE"),
        (["prune"], "--keep"),
        (["nonsense"], "No such command"),
    ],
)
def test_wrong_usage_is_status_2(arguments: list[str], message: str) -> None:
    answer = run_command(*arguments)
    assert answer.exit_code == 2
    assert message in answer.stderr


def test_a_job_that_fails_is_status_1_with_its_reason() -> None:
    failed = {"id": "1", "status": "failed", "runs": {"a": {"status": "failed", "error": "broken"}}}
    for run in failed["runs"].values():  # type: ignore[attr-defined]
        run |= {"history": [], "epoch": 0, "epochs": 1}
    answers = {"POST /v1/trainings": Answer(failed, 202), "GET /v1/trainings/1": Answer(failed)}
    with fake_gateway(answers) as gateway:
        answer = gateway.run("train", "--plain")
        as_json = gateway.run("train", "--json")
        detached = gateway.run("train", "--detach")
    assert (answer.exit_code, as_json.exit_code, detached.exit_code) == (1, 1, 0)
    assert "failed: a: broken" in answer.stderr
    assert '"status": "failed"' in as_json.stdout
    assert detached.stdout == "1\n"


def test_a_token_comes_from_a_file_and_is_sent(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("secret\n")
    with fake_gateway({"GET /v1/models": Answer({"models": []})}) as gateway:
        assert gateway.run("--token-file", str(file), "models").exit_code == 0
        assert gateway.run("--token", "other", "models").exit_code == 0
    assert [headers.get("Authorization") for headers in gateway.headers] == ["Bearer secret", "Bearer other"]


def test_a_closed_pipe_and_a_terminal_without_utf_8_are_no_errors() -> None:
    models = {"models": [{"name": f"数字-{n}", "versions": {"pytorch": [1]}} for n in range(5000)]}
    with fake_gateway({"GET /v1/models": Answer(models)}) as gateway:
        command = f"{sys.executable} -m services.cli --url {gateway.url} models"
        closed, latin = (
            subprocess.run(line, shell=True, capture_output=True, text=True, check=False)
            for line in (f"{command} | head -n 1", f"PYTHONIOENCODING=latin-1 {command} 2>&1 | tail -n 1")
        )
    assert (closed.stdout.split(), closed.stderr) == (["model", "backend", "versions"], "")
    assert latin.stdout.split() == ["??-4999", "pytorch", "1"]
