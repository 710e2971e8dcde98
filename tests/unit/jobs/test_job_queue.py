"""Signatures, the signing key, and the overall status: the parts of job submission that need no Redis."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from shared.errors import UntrustedJobError
from shared.jobs.payloads import Status
from shared.jobs.records import overall_status
from shared.jobs.signing import sign, signing_key, verify_signature

KEY = b"0" * 32


def test_a_payload_with_its_own_signature_is_accepted() -> None:
    payload = '{"kind": "training"}'
    verify_signature(payload, sign(payload, KEY), KEY)


@pytest.mark.parametrize(
    ("payload", "signature"),
    [
        ('{"kind": "other"}', sign('{"kind": "training"}', KEY)),
        ('{"kind": "training"}', sign('{"kind": "training"}', b"1" * 32)),
        ('{"kind": "training"}', ""),
    ],
    ids=["another payload", "another key", "no signature"],
)
def test_a_payload_with_another_signature_is_refused(payload: str, signature: str) -> None:
    with pytest.raises(UntrustedJobError):
        verify_signature(payload, signature, KEY)


def test_the_key_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "job.key"
    key = signing_key(path)
    assert len(key) == 32
    assert signing_key(path) == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_sixteen_threads_that_make_the_key_at_once_get_the_same_key(tmp_path: Path) -> None:
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
def test_work_ends_when_all_runs_have_ended_and_one_failure_fails_it(runs: list[Status], expected: Status) -> None:
    assert overall_status(runs) == expected
    assert overall_status(reversed(runs)) == expected
