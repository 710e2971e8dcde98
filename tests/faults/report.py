"""Print the outcome of each fault as one line, and write all of them as a Markdown table."""

from pathlib import Path

from tests.faults.experiment import FAILED, SKIPPED, SURVIVED, Outcome

BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
MOST_CHARACTERS = 99  # of a line in a document
LONGEST_REASON = 160


def format_line(outcome: Outcome) -> str:
    """Return the line of a fault: its status, its seconds to recovery, and what was lost."""
    recovery = "" if outcome.recovery_s is None else f"{outcome.recovery_s:.1f} s"
    lost = (
        f"{outcome.lost} of {outcome.acknowledged} jobs lost, "
        f"{outcome.refused} of {outcome.predictions} predictions refused"
    )
    if outcome.status == SKIPPED:
        lost = ""
    parts = [f"{outcome.status:8} {recovery:>7}  {outcome.fault.name:22}", lost, *outcome.notes]
    return "; ".join(part for part in parts if part)


def format_reasons(outcome: Outcome) -> list[str]:
    """Return an indented line for each failure and each limit that was passed; of many, the first five."""
    reasons = [*outcome.failures, *outcome.exceeded]
    lines = [f"           - {' '.join(reason.split())[:LONGEST_REASON]}" for reason in reasons[:5]]
    return [*lines, f"           - and {len(reasons) - 5} more"] if len(reasons) > 5 else lines


def format_total(outcomes: list[Outcome]) -> str:
    """Return the last line: how many faults survived, and the sum of what was lost."""
    counts = {status: sum(outcome.status == status for outcome in outcomes) for status in (SURVIVED, FAILED, SKIPPED)}
    slowest = max((outcome.recovery_s or 0.0 for outcome in outcomes), default=0.0)
    jobs, lost = (sum(getattr(outcome, name) for outcome in outcomes) for name in ("acknowledged", "lost"))
    return (
        f"{counts[SURVIVED]} survived, {counts[FAILED]} failed, {counts[SKIPPED]} skipped; slowest recovery "
        f"{slowest:.1f} s; {lost} of {jobs} acknowledged jobs lost"
    )


def write_table(outcomes: list[Outcome], path: Path) -> None:
    """Write the table into a document, between two comments; a new document has nothing else."""
    rows = ["| source | fault | outcome | s | jobs | lost | refused |", "|---|---|---|---|---|---|---|"]
    for outcome in outcomes:
        recovery = "" if outcome.recovery_s is None else f"{outcome.recovery_s:.1f}"
        cells = [
            outcome.fault.source,
            outcome.fault.title,
            outcome.status,
            recovery,
            *map(str, (outcome.acknowledged, outcome.lost, outcome.refused)),
        ]
        rows.append(f"| {' | '.join(cells)} |"[:MOST_CHARACTERS])
    table = "\n".join([BEGIN, "", *rows, "", format_total(outcomes) + ".", "", END])
    text = path.read_text() if path.exists() else f"{BEGIN}{END}\n"
    before, _, rest = text.partition(BEGIN)
    path.write_text(before + table + rest.partition(END)[2])
