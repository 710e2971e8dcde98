"""The serving benchmark: what it reads from wrk's output, the bodies of its requests, and its ratios."""

from pathlib import Path

import numpy as np
import pytest
import requests

from benchmarks.serving.__main__ import parse_arguments
from benchmarks.serving.load import Load, parse_output
from benchmarks.serving.measurement import Measurement, Measurements, Row, list_rows
from benchmarks.serving.report import compare, find_best, list_peer_wins
from benchmarks.serving.workloads import (
    JSON_LENGTH_HEADER,
    WORKLOADS,
    create_inference_request,
    make_pixels,
    parse_inference_response,
)

# Printed by wrk 4.1.0 with load.lua.
OUTPUT = """\
Running 2s test @ http://127.0.0.1:18000/v2/models/article-pytorch/infer
  1 threads and 16 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     4.82ms    1.33ms  21.30ms   87.91%
    Req/Sec     3.34k   312.14     3.70k    70.00%
  6652 requests in 2.00s, 2.71MB read
  Socket errors: connect 0, read 3, write 0, timeout 1
  Non-2xx or 3xx responses: 52
Requests/sec:   3323.01
Transfer/sec:      1.35MB
{"responses": 6652, "duration_us": 2001799, "p50_us": 4686, "p99_us": 9930, "status_errors": 52, "socket_errors": 4}
"""
ROW = Row("article-json", 16)


def measured(*per_second: float) -> list[Measurement]:
    """Return one measurement per round with these rates."""
    return [Measurement(rate, p50_ms=1.0, p99_ms=2.0, errors=0, cpu_s_per_1000=0.1) for rate in per_second]


def test_the_line_of_json_in_the_output_of_wrk_becomes_a_load() -> None:
    load = parse_output(OUTPUT)
    assert load == Load(6652, 2.001799, p50_ms=4.686, p99_ms=9.93, status_errors=52, socket_errors=4)
    assert load.errors == 56
    assert load.per_second == pytest.approx(6600 / 2.001799)


def test_a_load_without_a_response_has_the_rate_0() -> None:
    line = '{"responses": 0, "duration_us": 0, "p50_us": 0, "p99_us": 0, "status_errors": 0, "socket_errors": 16}'
    assert parse_output(line).per_second == 0


def test_output_without_a_result_is_an_error_that_shows_the_output() -> None:
    with pytest.raises(ValueError, match="unable to connect"):
        parse_output("unable to connect to 127.0.0.1:1 Connection refused\n")


def test_the_binary_body_has_the_pixels_after_the_json(tmp_path: Path) -> None:
    request = create_inference_request(WORKLOADS["article-8-binary"], "http://127.0.0.1/infer", tmp_path)
    body = request.body.read_bytes()
    pixels = np.frombuffer(body[int(request.headers[JSON_LENGTH_HEADER]) :], np.uint8)
    np.testing.assert_array_equal(pixels.reshape(8, 28, 28, 1), make_pixels(8))


def test_the_pictures_of_a_request_differ() -> None:
    assert len({picture.tobytes() for picture in make_pixels(8)}) == 8


@pytest.mark.parametrize("in_binary", [False, True])
def test_probabilities_are_read_from_json_and_from_binary_responses(in_binary: bool) -> None:
    probabilities = np.arange(20, dtype="<f4").reshape(2, 10)
    response = requests.Response()
    if in_binary:
        text = b'{"outputs":[{"shape":[2,10],"parameters":{"binary_data_size":80}}]}'
        response.headers[JSON_LENGTH_HEADER] = str(len(text))
        response._content = text + probabilities.tobytes()
    else:
        response._content = f'{{"outputs":[{{"shape":[2,10],"data":{list(range(20))}}}]}}'.encode()
    np.testing.assert_array_equal(parse_inference_response(response), probabilities)


def test_a_ratio_has_the_medians_and_the_extremes_of_the_rounds() -> None:
    measurements: Measurements = {ROW: {"tandem-pytorch": measured(30, 20, 10), "triton": measured(10, 20, 40)}}
    ratio = compare(measurements, ROW, "per_second", "tandem-pytorch", "triton")
    assert str(ratio) == "1.00 (0.25 to 3.00)"


def test_there_is_no_ratio_without_a_measurement_or_with_a_denominator_of_0() -> None:
    measurements: Measurements = {ROW: {"tandem-pytorch": measured(30), "triton": measured(0)}}
    assert compare(measurements, ROW, "per_second", "tandem-pytorch", "triton") is None
    assert compare(measurements, ROW, "per_second", "tandem-pytorch", "mosec") is None
    assert compare(measurements, Row("png-both", 16), "per_second", "tandem-pytorch", "triton") is None


def test_the_best_of_some_contestants_has_the_largest_median_rate() -> None:
    measurements: Measurements = {ROW: {"mosec": measured(1, 9, 1), "mosec-batching": measured(2, 2, 2)}}
    assert find_best(measurements, ROW, ("mosec", "mosec-batching", "triton")) == "mosec-batching"
    assert find_best(measurements, ROW, ("triton",)) is None


def test_each_figure_in_which_a_peer_is_better_than_tandem_is_named() -> None:
    rates = {"tandem-pytorch": measured(20), "triton": measured(30), "mosec": measured(10), "noop": measured(90)}
    assert list(list_peer_wins({ROW: rates})) == [
        "article-json, 16 connections: better requests/s than tandem-pytorch: triton (1.50)"
    ]


def test_each_workload_has_its_own_numbers_of_connections() -> None:
    workloads = [WORKLOADS["article-json"], WORKLOADS["cnn-8-binary"]]
    own = [("article-json", 1), ("article-json", 16), ("article-json", 64), ("cnn-8-binary", 16)]
    assert list_rows(workloads, None) == own
    assert list_rows(workloads, [64]) == [("article-json", 64), ("cnn-8-binary", 64)]


def test_arguments_restrict_what_is_measured() -> None:
    plan = parse_arguments(["--only", "tandem-pytorch,triton", "--workloads", "cnn-8-binary", "--connections", "16,64"])
    assert plan.only == ["tandem-pytorch", "triton"]
    assert plan.networks == ["article", "cnn"]
    assert plan.connections == [16, 64]
    assert plan.has_contestant_of("tandem")
    assert not plan.has_contestant_of("two-gateways")


@pytest.mark.parametrize("arguments", [["--only", "torchserve"], ["--only", "base-both"], ["--workloads", "mlp-json"]])
def test_unknown_names_are_refused_with_the_known_ones(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parse_arguments(arguments)
    assert f"{arguments[1]}: expected " in capsys.readouterr().err
