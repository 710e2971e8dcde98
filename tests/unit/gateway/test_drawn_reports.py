"""A report is drawn once for what it shows."""

from pydantic import BaseModel

from services.gateway.reports.drawn_reports import MAX_KEPT_BYTES, DrawnReports


class Shown(BaseModel):
    """What a report shows."""

    figure: int


def test_a_report_is_drawn_again_only_if_it_shows_something_else() -> None:
    reports = DrawnReports()
    drawn: list[str] = []

    def draw(text: str) -> str:
        drawn.append(text)
        return text

    for what, figure in (("html", 1), ("html", 1), ("csv", 1), ("html", 2), ("html", 1)):
        text = f"{what} {figure}"
        assert reports.find_or_draw(what, Shown(figure=figure), lambda text=text: draw(text)) == text.encode()
    assert drawn == ["html 1", "csv 1", "html 2"]


def test_the_oldest_reports_are_dropped_and_too_large_ones_are_not_kept() -> None:
    reports = DrawnReports()
    draws = [0, 0, 0]

    def ask(figure: int, size: int) -> None:
        def draw() -> bytes:
            draws[figure] += 1
            return bytes(size)

        assert len(reports.find_or_draw("png", Shown(figure=figure), draw)) == size

    for figure in (0, 1, 0):
        ask(figure, MAX_KEPT_BYTES // 2 + 1)
    for _ in range(2):
        ask(2, MAX_KEPT_BYTES + 1)
    assert draws == [2, 1, 2]
