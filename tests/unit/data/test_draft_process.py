"""The process that decodes an upload ends when its client has left."""

from pathlib import Path

import pytest

from shared.data.draft_process import write_draft_in_process
from shared.errors import UnavailableError


def test_an_upload_that_nobody_waits_for_is_not_decoded(tmp_path: Path) -> None:
    draft = tmp_path / "draft"
    with pytest.raises(UnavailableError, match="the client left"):
        write_draft_in_process(tmp_path / "missing.zip", "mine", draft, "2026-01-01T00:00:00+00:00", lambda: False)
    assert not draft.exists()
