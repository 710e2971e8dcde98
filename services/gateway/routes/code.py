"""/v1/code: the source files of the backends, side by side. The gateway reads them as text and imports none."""

from functools import lru_cache
from pathlib import Path

from flask import Response, request
from flask_openapi3 import APIBlueprint, Tag

from services.gateway.context import Context
from services.gateway.reports.code_alignment import AlignedRow, SourceLine, align_sections
from services.gateway.reports.highlighting import highlight_python
from services.gateway.routes.responses import json_response
from services.gateway.schemas.code import CodeFile, CodeLine, CodeListing, CodeRow, CodeSection
from services.gateway.scopes import READ

TAG = Tag(name="code", description="The backends' source files, side by side")
SERVICES = Path(__file__).parents[2]
FILE = "backend.py"
LARGEST_BYTES = 2**20


def routes(context: Context) -> APIBlueprint:
    """Return the routes of this module."""
    api = APIBlueprint("code", __name__, abp_tags=[TAG])

    @api.get("/v1/code", security=READ, responses={200: CodeListing})
    def listing() -> Response:
        """Return every backend's `backend.py`, highlighted and aligned. A file that is missing has an `error`."""
        sources = tuple((backend, _read_source(backend)) for backend in context.settings.backends)
        response = json_response(_describe(sources))
        response.add_etag()
        response.headers["Cache-Control"] = "private, no-cache"  # a client asks each time whether its copy is current
        response.make_conditional(request)
        return response

    return api


def _read_source(backend: str) -> str | None:
    """Return the text of a backend's file, or None if there is no such text."""
    try:
        with (SERVICES / backend / FILE).open("rb") as file:
            source = file.read(LARGEST_BYTES + 1)
        return source.decode() if len(source) <= LARGEST_BYTES else None
    except (OSError, ValueError):
        return None


@lru_cache(maxsize=1)
def _describe(sources: tuple[tuple[str, str | None], ...]) -> CodeListing:
    """Return the listing of (backend, text) pairs. The newest one is kept, because the files rarely change."""
    shown = {backend: highlight_python(source) for backend, source in sources if source is not None}
    return CodeListing(
        files={
            backend: CodeFile(
                path=f"services/{backend}/{FILE}",
                line_count=len(shown[backend]) if backend in shown else None,
                error=None if backend in shown else f"services/{backend}/{FILE} is not part of this installation",
            )
            for backend, _ in sources
        },
        sections=[
            CodeSection(title=section.title, rows=[_describe_row(row) for row in section.rows])
            for section in align_sections(shown)
        ],
    )


def _describe_row(row: AlignedRow) -> CodeRow:
    lines = {backend: line and _describe_line(line) for backend, line in row.lines.items()}
    return CodeRow(is_twin=row.is_twin, lines=lines)


def _describe_line(line: SourceLine) -> CodeLine:
    return CodeLine(
        number=line.number, is_twin=line.is_twin, tokens=[(token.kind, token.text) for token in line.tokens]
    )
