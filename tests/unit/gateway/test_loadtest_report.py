"""Reports of a load test, rendered from JSON such as `/v1/loadtests/<id>` returns."""

import csv
import html
import io

import pytest
from PIL import Image

from services.gateway.reports.loadtest_report import LoadTestReport, render_csv, render_html, render_png

CLAIM = "pytorch's p99 at 20/s is 1.50 ms lower than tensorflow's"


def result(p99_ms: float | None) -> dict:
    answered = p99_ms is not None
    latencies = [2.0, 3.0, p99_ms]
    return {
        "target_qps": 20.0,
        "achieved_qps": 19.5 if answered else 0.0,
        "queries": 60,
        "blocks": 20,
        "valid": answered,
        "invalid_reason": None if answered else "no request was answered with 200",
        "p50_ms": 3.0 if answered else None,
        "p90_ms": 4.0 if answered else None,
        "p99_ms": p99_ms,
        "p999_ms": None,
        "intervals": {"p50_ms": [2.5, 3.5], "p99_ms": [p99_ms - 1, p99_ms + 1]} if answered else {},
        "meets_bound": answered,
        "errors": {} if answered else {"HTTP 503": 50, "timeout": 10},
        "late_p99_ms": 0.5,
        "cpu_seconds_per_1000": 0.7,
        "peak_memory_bytes": 300_000_000,
        "time_split_ms": {"waiting": 0.5, "compute": 2.5} if answered else {},
        "distribution": {"levels": [0.0, 0.5, 1.0], "latency_ms": latencies} if answered else None,
        "over_time": [{"at_s": 0.0, "p50_ms": 3.0, "max_ms": p99_ms}] if answered else [],
    }


def load_test(pytorch_p99_ms: float | None) -> dict:
    return {
        "id": "1",
        "status": "succeeded",
        "model": "article-digits",
        "version": 1,
        "request": {"model": "article-digits", "target_qps": [20.0]},
        "created_at": "2026-01-02T03:04:05+00:00",
        "valid": pytorch_p99_ms is not None,
        "invalid_reason": None if pytorch_p99_ms else "pytorch at 20/s: no request was answered with 200",
        "results": {"tensorflow": [result(6.5)], "pytorch": [result(pytorch_p99_ms)]},
        "largest_qps": {},
        "comparisons": [
            {
                "backends": ["tensorflow", "pytorch"],
                "metric": "p99_ms",
                "target_qps": 20.0,
                "confidence": 0.99,
                "blocks": 20,
                "difference": {"value": -1.5, "low": -2.0, "high": -1.0},
                "claim": CLAIM,
            }
        ],
        "conditions": {
            "backends": ["tensorflow", "pytorch"],
            "cpu": "x",
            "cores": 2,
            "threads": {"tensorflow": 1, "pytorch": None},
            "versions": {"tensorflow": {"tensorflow": "2.21.0"}, "pytorch": {}},
            "python": "3.11.7",
            "commit": "unknown",
            "models": {"pytorch": {"weights.safetensors": {"sha256": "0" * 64, "size": 12}}},
            "generator": "MLPerf LoadGen 6",
            "connections": 64,
            "allowed_late_ms": 5.0,
            "allowed_late_share": 0.1,
            "shared_machine": True,
            "overlapped": False,
        },
        "note": "Driven by LoadGen; not an MLPerf result",
    }


@pytest.mark.parametrize("pytorch_p99_ms", [5.0, None], ids=["answered", "unanswered"])
def test_a_report_has_a_page_a_figure_and_a_table(pytorch_p99_ms: float | None) -> None:
    report = LoadTestReport.model_validate(load_test(pytorch_p99_ms))
    page = html.unescape(render_html(report))
    assert CLAIM in page.replace("&#39;", "'")
    assert ("Not valid." in page) == (pytorch_p99_ms is None)
    assert Image.open(io.BytesIO(render_png(report))).size == (1200, 900)
    tensorflow, pytorch = csv.DictReader(io.StringIO(render_csv(report)))
    assert tensorflow["backend"] == "tensorflow"
    assert (tensorflow["p99_ms"], tensorflow["p99_ms_low"], tensorflow["p99_ms_high"]) == ("6.5", "5.5", "7.5")
    assert (tensorflow["errors"], tensorflow["waiting_ms"], tensorflow["p90_ms_low"]) == ("0", "0.5", "")
    assert pytorch["p99_ms"] == ("5.0" if pytorch_p99_ms else "")
    assert pytorch["errors"] == ("0" if pytorch_p99_ms else "60")


def test_a_report_separates_the_generators_time_and_shows_results_that_lack_it() -> None:
    found = load_test(5.0)
    (measured,) = found["results"]["pytorch"]
    measured |= {"generator_p50_ms": 0.375, "generator_p99_ms": 1.125}
    for results in found["results"].values():
        results[0]["time_split_ms"] = {"waiting": 0.5, "generator": 0.25, "network": 0.125, "compute": 2.5}
    report = LoadTestReport.model_validate(found)
    page = html.unescape(render_html(report))
    for label, value in (("generator's time, p50 ms", "0.38"), ("generator's time, p99 ms", "1.12")):
        assert f'<td data-label="{label}">{value}</td>' in page
    heads = "".join(f'<th scope="col">{part}</th>' for part in ("waiting", "generator", "network", "compute"))
    assert f'{heads}<th scope="col">end to end</th>' in page
    tensorflow, pytorch = csv.DictReader(io.StringIO(render_csv(report)))
    names = ("generator_p50_ms", "generator_p99_ms", "generator_ms")
    assert [pytorch[name] for name in names] == ["0.375", "1.125", "0.25"]
    assert [tensorflow[name] for name in names] == ["", "", "0.25"]


@pytest.mark.parametrize(
    ("predictors", "warns"),
    [({"tensorflow": 1, "pytorch": 2}, True), ({"tensorflow": 2, "pytorch": 2}, False), ({}, False)],
)
def test_a_report_warns_if_the_sides_had_different_numbers_of_predictors(
    predictors: dict[str, int], warns: bool
) -> None:
    found = load_test(5.0)
    found["conditions"]["predictors"] = predictors
    page = render_html(LoadTestReport.model_validate(found))
    assert ("different numbers of predictors: tensorflow 1; pytorch 2" in page) == warns
