"""The addresses behind a predictor's URL."""

import asyncio

import pytest

from shared.serving.addresses import PredictorAddress, find_addresses
from tests.unit.names import Names

URL = "http://predictor.test:8101"


@pytest.mark.parametrize("url", ["http://127.0.0.1:8101", "http://localhost:8101", "http://[::1]:8101"])
def test_an_address_or_this_machines_own_name_is_one_predictor(url: str) -> None:
    assert asyncio.run(find_addresses(url)) == [PredictorAddress(url)]


def test_a_name_that_is_unknown_is_an_error() -> None:
    with pytest.raises(OSError, match=r"[Nn]ame"):
        asyncio.run(find_addresses("http://no-such-host.invalid:8101"))


@pytest.mark.parametrize(
    ("found", "ips"),
    [
        (["10.0.0.2", "10.0.0.1", "10.0.0.2"], ["10.0.0.1", "10.0.0.2"]),
        (["10.0.0.1"], [None]),
        (["fd00::1", "10.0.0.2", "fd00::2", "10.0.0.1"], ["10.0.0.1", "10.0.0.2"]),
        (["fd00::1", "fd00::2", "10.0.0.1"], [None]),
        (["fd00::2", "fd00::1"], ["fd00::1", "fd00::2"]),
        (["fd00::1"], [None]),
    ],
)
def test_each_address_of_a_name_is_a_predictor_and_ipv4_comes_before_ipv6(
    names: Names, found: list[str], ips: list[str | None]
) -> None:
    names.addresses["predictor.test"] = found
    assert asyncio.run(find_addresses(URL)) == [PredictorAddress(URL, ip) for ip in ips]


@pytest.mark.parametrize(
    ("ip", "text"),
    [(None, "predictor.test:8101"), ("10.0.0.1", "10.0.0.1:8101"), ("fd00::1", "[fd00::1]:8101")],
)
def test_an_address_is_written_with_its_port(ip: str | None, text: str) -> None:
    assert str(PredictorAddress(URL, ip)) == text
