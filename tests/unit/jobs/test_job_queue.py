"""What of the jobs needs no Redis: signatures, the key, the overall status."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from shared.errors import UntrustedJobError
from shared.jobs.job_queue import overall_status
from shared.jobs.signing import sign, signing_key, trusted

KEY = b"0" * 32


def test_a_signed_payload_is_trusted() -> None:
    payload = '{"kind": "training"}'
    assert trusted(payload, sign(payload, KEY), KEY) == {"kind": "training"}


@pytest.mark.parametrize(
    ("payload", "signature"),
    [
        ('{"kind": "other"}', sign('{"kind": "training"}', KEY)),
        ('{"kind": "training"}', sign('{"kind": "training"}', b"1" * 32)),
        ('{"kind": "training"}', ""),
    ],
    ids=["another payload", "another key", "no signature"],
)
def test_what_was_not_signed_with_the_key_is_refused(payload: str, signature: str) -> None:
    with pytest.raises(UntrustedJobError):
        trusted(payload, signature, KEY)


def test_the_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "job.key"
    key = signing_key(path)
    assert len(key) == 32
    assert signing_key(path) == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_sixteen_who_make_the_key_at_once_agree_on_one(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        keys = set(pool.map(signing_key, [tmp_path / "job.key"] * 16))
    assert len(keys) == 1


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        (["queued", "queued"], "queued"),
        (["queued", "running"], "running"),
        (["succeeded", "queued"], "running"),
        (["failed", "running"], "running"),
        (["succeeded", "succeeded"], "succeeded"),
        (["succeeded", "cancelled"], "cancelled"),
        (["failed", "cancelled"], "failed"),
        (["succeeded", "failed"], "failed"),
    ],
)
def test_work_ends_when_all_its_runs_have_and_a_failure_outweighs(runs: list[str], expected: str) -> None:
    assert overall_status(runs) == expected
    assert overall_status(reversed(runs)) == expected
