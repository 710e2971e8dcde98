"""Which hosts the gateway answers for, and what pages of other origins may do."""

import pytest

from services.gateway.access.browser_checks import HostCheck, MisdirectedRequest, OriginCheck
from services.gateway.access.modes import AccessMode, ClosedError, mode_at_start, mode_without_tokens
from services.gateway.access.tokens import TokenTable, make_token
from shared.settings import Settings

WITH_A_TOKEN = TokenTable([make_token("admin", ["admin"], None).record])


def settings_of(**settings: str) -> Settings:
    return Settings.from_env({f"TANDEM_{name.upper()}": text for name, text in settings.items()})


def answers_for(host: str | None, **settings: str) -> bool:
    check = HostCheck.from_settings(settings_of(**settings))
    try:
        check.check(host)
    except MisdirectedRequest:
        return False
    check.check(host)  # the second time it is remembered
    return True


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8080", "127.0.0.1", "127.0.0.1:1", "[::1]", "[::1]:8080"])
def test_loopback_is_always_answered_for(host: str) -> None:
    assert answers_for(host)


@pytest.mark.parametrize(
    "host",
    [
        None,
        "",
        "example.org",
        "localhost.example.org",
        "127.0.0.1.nip.io",
        "127.0.0.1:8080:1",
        "0.0.0.0",
        "::1",
        "[::1]x",
    ],
)
def test_other_hosts_are_not_answered_for(host: str | None) -> None:
    assert not answers_for(host)
    assert not answers_for(host, bind_host="0.0.0.0")


def test_settings_name_further_hosts() -> None:
    assert answers_for("192.0.2.7:8080", public_host="192.0.2.7")
    assert answers_for("[2001:db8::7]:8080", public_host="2001:db8::7")
    assert answers_for("Tandem.example", allowed_hosts="tandem.example,other.example:81")
    assert answers_for("other.example:81", allowed_hosts="other.example:81")
    assert not answers_for("other.example:82", allowed_hosts="other.example:81")
    assert answers_for("gateway:8080", gateway_url="http://gateway:8080"), "the load tester's name of the gateway"


@pytest.mark.parametrize("origin", ["example.org", "https://example.org/", "https://Example.org", "*", "null"])
def test_a_setting_that_is_no_origin_is_refused(origin: str) -> None:
    with pytest.raises(ValueError, match="TANDEM_CORS_ORIGINS"):
        OriginCheck([origin])


def test_which_mode_holds() -> None:
    outside = settings_of(bind_host="0.0.0.0")
    assert mode_at_start(settings_of(), TokenTable()) is AccessMode.LOOPBACK
    assert mode_at_start(settings_of(bind_host="0.0.0.0", public_host="127.0.0.1"), TokenTable()) is AccessMode.LOOPBACK
    assert mode_at_start(settings_of(bind_host="0.0.0.0", anonymous="1"), TokenTable()) is AccessMode.ANONYMOUS
    assert mode_at_start(outside, WITH_A_TOKEN) is AccessMode.TOKENS
    assert mode_at_start(settings_of(anonymous="1"), WITH_A_TOKEN) is AccessMode.TOKENS
    assert mode_without_tokens(outside) is AccessMode.CLOSED
    with pytest.raises(ClosedError, match=r"tandem token create --scope admin .* TANDEM_ANONYMOUS=1"):
        mode_at_start(outside, TokenTable())
