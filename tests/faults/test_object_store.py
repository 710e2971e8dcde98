"""A short run of the program that kills writers of models and the object store at random points."""

from pathlib import Path

import pytest

from tests.faults.object_store import kill_at_random_points
from tests.object_server import running_object_server

pytestmark = pytest.mark.faults


def test_killed_writers_and_servers_leave_no_part_of_a_version_and_publish_none_twice(tmp_path: Path) -> None:
    with running_object_server(tmp_path / "objects") as server:
        figures = kill_at_random_points(server, tmp_path, kills=12, servers=1, seed=0)
    assert figures.is_clean, figures
