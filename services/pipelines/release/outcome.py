"""What a gate returns."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from shared.jobs.releases import GatePicture

MAX_PICTURES = 20


@dataclass
class GateOutcome:
    """The outcome of a gate.

    Attributes:
        problems: what speaks against the release. Without problems, the gate has passed.
        remarks: what else the summary says.
        figures: everything that was measured, JSON-able.
        pictures: pictures that show the problems.
    """

    problems: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    pictures: list[GatePicture] = field(default_factory=list)

    @property
    def summary(self) -> str:
        """The problems, or without problems the remarks, as one sentence."""
        text = "; ".join(self.problems or self.remarks)
        return f"{text}."  # not capitalised: it may begin with the name of a backend

    def show(self, pictures: Iterable[GatePicture]) -> None:
        """Add pictures, as long as there are not too many."""
        for picture in pictures:
            if len(self.pictures) < MAX_PICTURES:
                self.pictures.append(picture)
