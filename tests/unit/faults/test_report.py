"""The report of the fault suite: lines, totals and the table in a document."""

from pathlib import Path

from tests.faults.experiment import FAILED, SURVIVED, Fault, Outcome
from tests.faults.report import format_line, format_reasons, format_total, write_table
from tests.faults.selection import FAULTS, select_faults

FAULT = Fault("redis-killed", "fault 11", "Redis SIGKILL during enqueue", lambda _: None)
GOOD = Outcome(FAULT, SURVIVED, 1.25, acknowledged=30, predictions=20, refused=4)
BAD = Outcome(FAULT, FAILED, None, acknowledged=30, lost=2, failures=("two jobs were lost",), exceeded=("too slow",))


def test_a_line_says_what_was_lost_and_how_long_the_recovery_took() -> None:
    line = format_line(GOOD)
    assert line.startswith("survived")
    assert "1.2 s" in line
    assert "0 of 30 jobs lost, 4 of 20 predictions refused" in line


def test_a_failed_fault_says_why() -> None:
    assert [reason.strip(" -") for reason in format_reasons(BAD)] == ["two jobs were lost", "too slow"]


def test_the_total_counts_every_lost_job() -> None:
    assert format_total([GOOD, BAD]) == (
        "1 survived, 1 failed, 0 skipped; slowest recovery 1.2 s; 2 of 60 acknowledged jobs lost"
    )


def test_a_table_replaces_the_one_before_and_nothing_else(tmp_path: Path) -> None:
    document = tmp_path / "faults.md"
    document.write_text("Before.\n\n<!-- table: begin -->\n<!-- table: end -->\n\nAfter.\n")
    write_table([GOOD], document)
    write_table([BAD], document)
    text = document.read_text()
    assert text.startswith("Before.\n")
    assert text.endswith("\nAfter.\n")
    assert text.count("Redis SIGKILL during enqueue") == 1
    assert "| FAILED |" in text


def test_every_fault_of_the_list_has_a_row() -> None:
    sources = {fault.source for fault in FAULTS}
    assert {f"fault {number}" for number in range(1, 31)} <= sources
    assert {"recovery", "attack"} <= sources
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)


def test_a_fault_is_selected_by_its_name_or_its_source() -> None:
    assert [fault.name for fault in select_faults(["horse-killed"], is_short=False)] == ["horse-killed"]
    assert len(select_faults(["fault 30"], is_short=False)) == 3
    assert 0 < len(select_faults([], is_short=True)) < len(FAULTS)
