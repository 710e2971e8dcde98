"""What the command prints fits the terminal, and nothing that a server sends changes the terminal."""

import json

import pytest

from services.cli.compare import accuracy_interval, describe_mcnemar
from services.cli.models import describe_versions
from services.cli.output import clean, duration
from services.cli.prune import choose_old_versions
from tests.unit.cli.fake_gateway import Answer, FakeGateway, fake_gateway

HOSTILE = "a\x1b[31m\r\n\u202e[bold]\x9b"


def listing(name: str) -> dict[str, Answer]:
    return {"GET /v1/models": Answer({"models": [{"name": name, "versions": {"pytorch": [1, 2, 3, 5]}}]})}


def show_models(gateway: FakeGateway, columns: int) -> list[str]:
    return gateway.run("models", COLUMNS=str(columns)).stdout.splitlines()


def test_control_characters_are_shown_and_have_no_effect() -> None:
    assert clean(HOSTILE) == "a\\x1b[31m\\x0d\\x0a\\u202e[bold]\\x9b"
    with fake_gateway(listing(HOSTILE)) as gateway:
        shown = gateway.run("models").stdout
        as_json = gateway.run("models", "list", "--json").stdout
        refused = gateway.run("models", "show", HOSTILE).stderr
    assert "\\x1b[31m" in shown
    assert json.loads(as_json)["models"][0]["name"] == HOSTILE
    for text in (shown, as_json, refused):
        assert text.replace("\n", "").isprintable(), text


def test_a_table_becomes_one_line_per_cell_where_it_does_not_fit() -> None:
    with fake_gateway(listing("a-name-of-24-characters-")) as gateway:
        wide, narrow, narrowest = (show_models(gateway, columns) for columns in (80, 42, 30))
    assert wide == ["model                     backend  versions", "a-name-of-24-characters-  pytorch  1-3, 5"]
    assert narrow == ["model                    backend versions", "a-name-of-24-characters- pytorch 1-3, 5"]
    assert narrowest == ["model: a-name-of-24-characters-", "backend: pytorch", "versions: 1-3, 5"]


def test_models_are_listed_whose_names_contain_a_text() -> None:
    with fake_gateway(listing("digits-2")) as gateway:
        assert "digits-2" in gateway.run("models", "list", "--search", "GITS").stdout
        assert gateway.run("models", "list", "--search", "x").stdout == "No model's name contains x.\n"


def test_columns_are_aligned_below_wide_characters() -> None:
    with fake_gateway(listing("数字")) as gateway:
        assert show_models(gateway, 80) == ["model  backend  versions", "数字   pytorch  1-3, 5"]


def test_output_that_goes_to_no_terminal_has_no_control_characters() -> None:
    with fake_gateway(listing("m")) as gateway:
        assert "\x1b" not in gateway.run("models").output + gateway.run("train").output


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (3599, "59:59"), (3723, "1:02:03")])
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(("numbers", "text"), [([], ""), ([1], "1"), ([1, 2, 3, 7, 9, 10], "1-3, 7, 9-10")])
def test_versions(numbers: list[int], text: str) -> None:
    assert describe_versions(numbers) == text


def test_prune_keeps_the_newest_numbers_of_all_backends_and_stable() -> None:
    versions = {"a": [1, 2, 3, 5], "b": [1, 2, 4]}
    assert choose_old_versions(versions, keep=2, stable=1) == [("a", 2), ("b", 2), ("a", 3)]
    assert choose_old_versions(versions, keep=5, stable=None) == []


@pytest.mark.parametrize(
    ("correct", "total", "low", "high"),
    [  # from scipy.stats.binomtest(correct, total).proportion_ci(0.95, "wilson")
        (0, 10, 0.0, 0.277532800),
        (10, 10, 0.722467200, 1.0),
        (8657, 10_000, 0.858876405, 0.872242739),
        (3, 7, 0.158219855, 0.749541635),
    ],
)
def test_the_interval_of_an_accuracy_is_wilsons(correct: int, total: int, low: float, high: float) -> None:
    assert accuracy_interval(correct, total) == pytest.approx((low, high), abs=1e-7)


@pytest.mark.parametrize(
    ("only", "p_value", "words"),
    [
        ({"a": 0, "b": 0}, 1.0, "right and wrong on the same pictures"),
        ({"a": 12, "b": 10}, 0.8318, "Chance alone easily gives such a difference (p = 0.83)"),
        ({"a": 40, "b": 5}, 1e-7, "Chance alone rarely gives such a difference (p < 0.0001)"),
    ],
)
def test_mcnemars_test_is_told_in_plain_words(only: dict[str, int], p_value: float, words: str) -> None:
    assert words in describe_mcnemar(only, p_value)
