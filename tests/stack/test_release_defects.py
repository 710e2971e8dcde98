"""Ten planted defects and three good candidates: the gates of a release tell them apart.

`python -m benchmarks.defects` carries out all 200 and 40.
"""

import pytest

from benchmarks.defects.campaign import Campaign, Verdict
from benchmarks.defects.cases import DIGITS, list_cases, list_short_cases
from benchmarks.defects.data import read_digits
from services.cli.client import Client
from shared.models.registry import ModelRegistry
from shared.settings import Settings

pytestmark = pytest.mark.stack

GATES = {"latency": None}  # only the slow model meets a load test


def describe(verdict: Verdict) -> str:
    return f"{verdict.case.kind}: {verdict.gate or 'released'} {verdict.error}"


def test_no_planted_defect_is_released_and_no_good_candidate_is_refused(client: Client, settings: Settings) -> None:
    campaign = Campaign(client, ModelRegistry(settings.model_dir), {DIGITS: read_digits(settings)}, GATES)
    campaign.release_bases()
    verdicts = campaign.carry_out(list_short_cases(), lambda _: None)
    assert not [describe(verdict) for verdict in verdicts if not verdict.is_right]
    gates = {verdict.case.kind: verdict.gate for verdict in verdicts if not verdict.case.is_good}
    assert set(gates.values()) == {"data", "accuracy", "latency"}


def test_the_long_selection_has_as_many_cases_as_the_table_says() -> None:
    cases = list_cases()
    assert sum(not case.is_good for case in cases) == 200
    assert sum(case.is_good for case in cases) == 40
