"""What the response bodies share that list the jobs of a kind."""

from typing import Annotated

from pydantic import Field

from shared.jobs.payloads import ResponseBody


class JobListing(ResponseBody):
    """A part of a list of jobs. Each kind has a subclass with the jobs."""

    next: Annotated[str | None, Field(description="the `before` of the next page; null if this is the last page")]
