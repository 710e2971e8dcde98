"""The command reaches every operation of the API, and works from a training to a pruned version."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from string import Template

import pytest
from click.testing import CliRunner, Result

from services.cli.app import main
from services.cli.client import Client
from services.stack.stack import Stack
from tests.polling import wait_until
from tests.stack.recording_proxy import RecordingProxy, recording_proxy
from tests.stack.test_readme import END_OF_BLOCK, check_output, read_examples, wait_for_starter_model

pytestmark = pytest.mark.stack

KINDS = {
    "trainings": "$training",
    "evaluations": "$evaluation",
    "certificates": "$certificate",
    "loadtests": "$loadtest",
    "searches": "$search",
    "releases": "$release",
    "transplants": "$transplant",
    "exports": "$export",
    "deletions": "$deletion",
}
INFER = '{"inputs": [{"name": "image", "shape": [1, 8, 8, 1], "datatype": "UINT8", "data": $pixels}]}'
INSTANCES = '{"instances": [$instance]}'

# Each operation and a command that uses it. The commands run in this order. `$name` is what an earlier command printed
# or a value of the fixture `values`.
COMMANDS: list[tuple[str, list[str]]] = [
    ("POST /v1/trainings", ["train", "mlp", "--dataset", "digits", "--epochs", "1", "--name", "cli", "--json"]),
    ("POST /v1/evaluations", ["evaluate", "cli", "--json"]),
    (
        "POST /v1/certificates",
        ["certificate", "mlp", "--dataset", "digits", "--steps", "1", "--plot", "$folder/c.png", "--json"],
    ),
    ("GET /v1/certificates/{id}/plot.png", ["api", "GET", "/v1/certificates/$certificate/plot.png"]),
    (
        "POST /v1/loadtests",
        ["loadtest", "welcome", "--rate", "20", "--duration", "1", "--report", "$folder/r.html", "--json"],
    ),
    ("GET /v1/loadtests/{id}/report.html", ["api", "GET", "/v1/loadtests/$loadtest/report.html"]),
    ("GET /v1/loadtests/{id}/report.png", ["api", "GET", "/v1/loadtests/$loadtest/report.png"]),
    ("GET /v1/loadtests/{id}/report.csv", ["api", "GET", "/v1/loadtests/$loadtest/report.csv"]),
    (
        "POST /v1/searches",
        [
            *("search", "--dataset", "digits", "--trials", "2", "--epochs", "2", "--name", "cli-search"),
            *("--report", "$folder/q.html", "--json"),
        ],
    ),
    ("GET /v1/searches/{id}/report.html", ["api", "GET", "/v1/searches/$search/report.html"]),
    ("POST /v1/releases", ["release", "cli-search", "--without", "latency", "--json"]),
    ("POST /v1/releases/{id}/revert", ["release", "--revert", "$release"]),
    ("POST /v1/searches/{id}/cancel", ["cancel", "searches/$open_job"]),
    ("POST /v1/releases/{id}/cancel", ["cancel", "$open_job"]),
    ("POST /v1/loadtests/{id}/cancel", ["cancel", "$open_job"]),
    ("POST /v1/trainings/{id}/cancel", ["cancel", "trainings/$open_job"]),
    ("PUT /v1/models/{name}/aliases/{alias}", ["models", "stable", "cli", "1"]),
    (
        "POST /v1/models/{name}/{backend}/{version}/transplant",
        ["models", "transplant", "cli", "pytorch", "1", "--to", "tensorflow", "--json"],
    ),
    (
        "POST /v1/models/{name}/{backend}/{version}/exports",
        ["export", "cli", "--backend", "pytorch", "--format", "html", "-o", "$folder/p.html", "--json"],
    ),
    ("GET /v1/models/{name}/{backend}/{version}/exports", ["export", "cli", "--version", "1", "--list"]),
    (
        "GET /v1/models/{name}/{backend}/{version}/exports/{format}",
        ["api", "GET", "/v1/models/cli/pytorch/1/exports/html"],
    ),
    ("POST /v1/exports/{id}/cancel", ["cancel", "exports/$open_job"]),
    ("DELETE /v1/models/{name}/{backend}/{version}", ["models", "delete", "cli", "tensorflow", "2", "--yes", "--json"]),
    *((f"GET /v1/{kind}/{{id}}", ["follow", f"{kind}/{identity}"]) for kind, identity in KINDS.items()),
    *((f"GET /v1/{kind}", ["jobs", "--kind", kind]) for kind in KINDS),
    *(
        (f"GET /v1/{kind}/{{id}}/events", ["api", "GET", f"/v1/{kind}/{identity}/events"])
        for kind, identity in KINDS.items()
    ),
    ("POST /v1/predictions", ["predict", "--model", "cli", "samples/seven-8x8.png"]),
    ("GET /v1/models", ["models", "list"]),
    ("GET /v1/models/{name}", ["models", "show", "cli"]),
    (
        "GET /v1/models/{name}/{backend}/{version}/weights.safetensors",
        ["models", "download", "cli", "pytorch", "1", "-o", "$folder/w"],
    ),
    ("GET /v1/datasets", ["data"]),
    ("GET /v1/datasets/{name}/samples.png", ["data", "samples", "digits", "-o", "$folder/s.png"]),
    (
        "GET /v1/datasets/{name}/arrays/{split}.safetensors",
        ["api", "GET", "/v1/datasets/digits/arrays/test.safetensors", "-o", "$folder/a"],
    ),
    ("GET /v1/datasets/{name}/pictures/{split}/{index}.png", ["api", "GET", "/v1/datasets/digits/pictures/test/0.png"]),
    (
        "GET /v1/datasets/{name}/arrays/{split}.safetensors",
        ["api", "GET", "/v1/datasets/digits/arrays/test.safetensors", "-o", "$folder/a"],
    ),
    ("PUT /v1/datasets/{name}", ["data", "upload", "$folder/pictures", "--name", "cli-pictures"]),
    ("DELETE /v1/datasets/{name}", ["data", "delete", "cli-pictures", "--yes"]),
    ("GET /v1/networks", ["api", "GET", "/v1/networks"]),
    (
        "POST /v1/networks/describe",
        ["api", "POST", "/v1/networks/describe", "-d", '{"network": "mlp", "dataset": "digits"}'],
    ),
    ("GET /v1/code", ["api", "GET", "/v1/code"]),
    ("GET /v1/status", ["status"]),
    ("GET /", ["api", "GET", "/"]),
    ("GET /metrics", ["api", "GET", "/metrics"]),
    ("GET /v2/health/live", ["api", "GET", "/v2/health/live"]),
    ("GET /v2/health/ready", ["api", "GET", "/v2/health/ready"]),
    ("GET /v2", ["api", "GET", "/v2"]),
    ("POST /v2/repository/index", ["api", "POST", "/v2/repository/index", "-d", "{}"]),
    ("GET /v2/models/stats", ["api", "GET", "/v2/models/stats"]),
    ("POST /v2/models/{name}/infer", ["api", "POST", "/v2/models/cli-pytorch/infer", "-d", INFER]),
    (
        "POST /v2/models/{name}/versions/{version}/infer",
        ["api", "POST", "/v2/models/cli-pytorch/versions/1/infer", "-d", INFER],
    ),
    *(
        (f"GET /v2/models/{{name}}{part}{last}", ["api", "GET", f"/v2/models/cli-pytorch{value}{last}"])
        for part, value in (("", ""), ("/versions/{version}", "/versions/1"))
        for last in ("", "/config", "/ready", "/stats")
    ),
    *(
        (
            f"POST /v1/models/{{name}}{part}:predict",
            ["api", "POST", f"/v1/models/cli-pytorch{value}:predict", "-d", INSTANCES],
        )
        for part, value in (("", ""), ("/versions/{version}", "/versions/1"), ("/labels/{label}", "/labels/stable"))
    ),
    *(
        (f"GET /v1/models/{{name}}{part}", ["api", "GET", f"/v1/models/cli-pytorch{value}"])
        for part, value in (
            ("/metadata", "/metadata"),
            ("/versions/{version}", "/versions/1"),
            ("/versions/{version}/metadata", "/versions/1/metadata"),
            ("/labels/{label}", "/labels/stable"),
            ("/labels/{label}/metadata", "/labels/stable/metadata"),
        )
    ),
    # From the first token on, every request needs one.
    ("POST /v1/tokens", ["token", "create", "--name", "cli", "--scope", "admin"]),
    ("GET /v1/tokens", ["--token", "$token", "token", "list"]),
    ("DELETE /v1/tokens/{id}", ["--token", "$token", "token", "revoke", "$token_id"]),
]
# The jobs that are cancelled. They are submitted just before, because others wait until they have ended.
TO_CANCEL: dict[str, tuple[str, dict[str, object]]] = {
    "POST /v1/loadtests/{id}/cancel": ("/v1/loadtests", {"model": "welcome", "target_qps": [5], "duration_s": 60}),
    "POST /v1/exports/{id}/cancel": ("/v1/models/cli/pytorch/1/exports", {"format": "pt2"}),
    "POST /v1/searches/{id}/cancel": ("/v1/searches", {"dataset": "digits", "trials": 100, "epochs": 50}),
    "POST /v1/releases/{id}/cancel": ("/v1/releases", {"model": "cli-search"}),
    "POST /v1/trainings/{id}/cancel": ("/v1/trainings", {"dataset": "digits", "epochs": 1000, "batch_size": 1}),
}
# Commands whose JSON has the id of a job, under which name it is remembered.
REMEMBERED = {
    "POST /v1/trainings": "training",
    "POST /v1/evaluations": "evaluation",
    "POST /v1/certificates": "certificate",
    "POST /v1/loadtests": "loadtest",
    "POST /v1/searches": "search",
    "POST /v1/releases": "release",
    "POST /v1/models/{name}/{backend}/{version}/transplant": "transplant",
    "POST /v1/models/{name}/{backend}/{version}/exports": "export",
    "DELETE /v1/models/{name}/{backend}/{version}": "deletion",
}


@pytest.fixture(scope="module")
def proxy(stack: Stack) -> Iterator[RecordingProxy]:
    """Yield a proxy of the stack's gateway."""
    with recording_proxy(stack.url) as proxy:
        yield proxy


@pytest.fixture
def values(tmp_path: Path) -> dict[str, str]:
    """Return the values of the commands: jobs to cancel, pixels, and a folder with pictures of two classes."""
    for label in ("seven", "again"):
        (tmp_path / "pictures" / label).mkdir(parents=True)
        for number in range(4):
            (tmp_path / "pictures" / label / f"{number}.png").write_bytes(Path("samples/seven-8x8.png").read_bytes())
    return {
        "folder": str(tmp_path),
        "pixels": str([0] * 64),
        "instance": str([[[0]] * 8] * 8),
    }


def tandem(url: str, *arguments: str, stdin: bytes = b"", columns: int = 80) -> Result:
    """Run the command in this process."""
    environ = {"TANDEM_URL": url, "TANDEM_TOKEN": None, "TANDEM_TOKEN_FILE": None, "COLUMNS": str(columns)}
    return CliRunner(env=environ).invoke(main, arguments, input=stdin, prog_name="tandem")


def matches(operation: str, request: tuple[str, str]) -> bool:
    """Return whether a request's method and path are those of an operation such as `GET /v1/models/{name}`."""
    method, _, template = operation.partition(" ")
    pattern = "[^/]+".join(map(re.escape, re.split(r"\{\w+\}", template)))
    return request[0] == method and re.fullmatch(pattern, request[1]) is not None


def test_every_operation_of_the_openapi_document_is_used_by_a_command(
    client: Client, proxy: RecordingProxy, values: dict[str, str]
) -> None:
    paths = client.get("/openapi.json")["paths"]
    operations = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}
    assert operations <= {operation for operation, _ in COMMANDS}, "add the new operation to COMMANDS"
    try:
        for operation, command in COMMANDS:
            if operation not in operations:
                continue
            if operation in TO_CANCEL:
                path, body = TO_CANCEL[operation]
                values["open_job"] = client.post(path, body)["id"]
            proxy.requests.clear()
            answer = tandem(proxy.url, *(Template(word).substitute(values) for word in command))
            assert answer.exit_code == 0, (command, answer.output)
            assert any(matches(operation, request) for request in proxy.requests), (operation, proxy.requests)
            if operation in REMEMBERED:
                document = json.loads(answer.stdout)
                values[REMEMBERED[operation]] = document.get("exports", [document])[0]["id"]
            elif operation == "POST /v1/tokens":
                values["token"] = answer.stdout.strip()
                values["token_id"] = answer.stderr.split()[1]
    finally:
        for token in {values.get("token")} - {None}:  # a failure leaves no token behind, which other tests do not have
            tandem(proxy.url, "--token", token, "token", "revoke", values["token_id"])  # type: ignore[arg-type]
    wait_until(lambda: client.get("/v1/networks"), message="the gateway still requires tokens")
    names = {path.name: path.read_bytes()[:9] for path in Path(values["folder"]).iterdir() if path.is_file()}
    assert names["r.html"].lower() == names["p.html"].lower() == names["q.html"].lower() == b"<!doctype"
    assert {names[name][1:4] for name in ("c.png", "s.png")} == {b"PNG"}
    assert len(names["w"]) == 9


def test_predictions_of_a_picture_a_pipe_and_many_pictures(stack: Stack, tmp_path: Path) -> None:
    seven = Path("samples/seven.png").read_bytes()
    wait_for_starter_model(stack)
    piped = tandem(stack.url, "predict", "-", stdin=seven, columns=40)
    assert [line.split() for line in piped.stdout.splitlines()] == [
        ["picture", "tensorflow", "pytorch", "agree"],
        ["-", "7", "(100.0", "%)", "7", "(100.0", "%)", "yes"],
    ]
    assert max(map(len, piped.stdout.splitlines())) <= 40
    for number in range(70):
        (tmp_path / f"{number}.png").write_bytes(seven)
    many = tandem(stack.url, "predict", *map(str, tmp_path.iterdir()))
    assert many.stdout.splitlines()[-1] == "The backends agree on 70 of 70 pictures."


def test_a_model_is_trained_compared_and_pruned(stack: Stack, client: Client) -> None:
    options = ["--dataset", "digits", "--epochs", "2", "--name", "cli-pruned", "--learning-rate", "0.2"]
    for _ in range(3):
        trained = tandem(stack.url, "train", "mlp", *options)
        assert trained.exit_code == 0, trained.output
    assert "pytorch: epoch 2 of 2: loss" in trained.stdout
    compared = tandem(stack.url, "compare", "cli-pruned").stdout
    assert "McNemar's test" in compared
    assert "Largest difference of a weight after training" in compared
    assert tandem(stack.url, "models", "stable", "cli-pruned", "1").exit_code == 0
    pruned = tandem(stack.url, "prune", "cli-pruned", "--keep", "1", "--yes")
    assert pruned.exit_code == 0, pruned.output
    assert client.get("/v1/models/cli-pruned")["versions"] == {"tensorflow": [1, 3], "pytorch": [1, 3]}


def test_the_commands_of_the_page_print_what_the_page_shows(stack: Stack) -> None:
    wait_for_starter_model(stack)
    examples = [example for example in read_examples("docs/cli.md") if example.language == "sh"]
    script = "".join(f"{example.command}\nprintf '%s\\n' {END_OF_BLOCK}\n" for example in examples)
    command, environ = ["bash", "-euo", "pipefail", "-c", script], {**os.environ, "TANDEM_URL": stack.url}
    ran = subprocess.run(command, capture_output=True, text=True, check=False, env=environ)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    for example, printed in zip(examples, ran.stdout.split(f"{END_OF_BLOCK}\n"), strict=False):
        check_output(example, printed)
