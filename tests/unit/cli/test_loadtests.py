"""`tandem loadtest`: what is printed of a load test whose sides had several predictors."""

import pytest

from tests.unit.cli.fake_gateway import Answer, fake_gateway

LOAD_TEST = {
    "id": "1",
    "status": "succeeded",
    "model": "m",
    "version": 2,
    "created_at": "2026-01-01T00:00:00Z",
    "error": None,
    "progress": None,
    "valid": True,
    "invalid_reason": None,
    "results": {},
    "largest_qps": {},
    "comparisons": [],
}


@pytest.mark.parametrize(
    ("predictors", "warns"),
    [({"tensorflow": 1, "pytorch": 2}, True), ({"tensorflow": 2, "pytorch": 2}, False), (None, False)],
)
def test_different_numbers_of_predictors_are_printed(predictors: dict[str, int] | None, warns: bool) -> None:
    conditions = {} if predictors is None else {"predictors": predictors}
    with fake_gateway({"GET /v1/loadtests/1": Answer({**LOAD_TEST, "conditions": conditions})}) as gateway:
        shown = gateway.run("follow", "loadtests/1")
    assert shown.exit_code == 0, shown.output
    assert ("The numbers of predictors differ: tensorflow 1, pytorch 2" in shown.stdout) == warns
