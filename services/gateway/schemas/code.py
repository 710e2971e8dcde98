"""Response body of /v1/code."""

from typing import Annotated

from pydantic import Field

from shared.jobs.payloads import ResponseBody

LineToken = Annotated[tuple[str, str], Field(description="[kind, text]; the texts of all tokens make up the line")]


class CodeFile(ResponseBody):
    """A backend's source file."""

    path: str
    line_count: Annotated[int | None, Field(description="null if the file cannot be shown")]
    error: Annotated[str | None, Field(description="why the file cannot be shown")]


class CodeLine(ResponseBody):
    """A line of a backend's file."""

    number: Annotated[int, Field(description="counted from 1")]
    is_twin: Annotated[bool, Field(description="the line belongs to a `# Twin:` comment")]
    tokens: Annotated[
        list[LineToken],
        Field(description="builtin, comment, decorator, function, keyword, number, string, or empty for other text"),
    ]


class CodeRow(ResponseBody):
    """Lines that stand side by side."""

    is_twin: Annotated[bool, Field(description="a line of the row belongs to a `# Twin:` comment")]
    lines: Annotated[dict[str, CodeLine | None], Field(description="by backend; null where it has no line")]


class CodeSection(ResponseBody):
    """A section that the files have in common, such as `Train`."""

    title: str
    rows: list[CodeRow]


class CodeListing(ResponseBody):
    """The backends' source files, highlighted, and aligned at functions and at `# Twin:` comments."""

    files: Annotated[dict[str, CodeFile], Field(description="by backend")]
    sections: Annotated[list[CodeSection], Field(description="of the files that can be shown")]
