"""What the routes share that list the jobs of a kind: `limit`, `before` and `search`."""

from typing import Annotated, Literal

from pydantic import Field

from services.gateway.routes.path_values import ID_PATTERN
from shared.jobs.listings import PageRequest
from shared.jobs.payloads import RequestBody

MAX_LIMIT = 200
MAX_SEARCH = 100  # characters


class ListingQuery(RequestBody):
    """Which part of a list to return. `next` of a response is the `before` of the next request."""

    limit: Annotated[int, Field(ge=1, le=MAX_LIMIT, description="how many jobs to return at most")] = 50
    before: Annotated[
        str | None, Field(pattern=f"^{ID_PATTERN}$", description="the id of a job: only older jobs are listed")
    ] = None
    search: Annotated[
        str,
        Field(
            max_length=MAX_SEARCH,
            description="words that all occur in a job's id, its model, dataset or network, its status or its backends",
        ),
    ] = ""

    def to_page(self) -> PageRequest:
        """Return which records to read."""
        return PageRequest(self.limit, self.before, self.search)


class TrainingListingQuery(ListingQuery):
    """Which part of the list of trainings to return."""

    history: Annotated[
        Literal["all", "last"], Field(description="last: each run's `history` has only its newest epoch")
    ] = "all"

    def to_page(self) -> PageRequest:
        """Return which records to read, and how much of their histories."""
        return PageRequest(self.limit, self.before, self.search, newest_epoch_only=self.history == "last")
