"""The web page: `/` and one address per view answer with index.html, `/page/<file>` with the page's other files.

All files are in memory, so the event loop answers. The page needs no token. It asks the user for one if the API
requires it.
"""

import re
from functools import cache
from pathlib import Path

from aiohttp import hdrs, web
from flask_openapi3 import Tag

from services.gateway.context import Context
from services.gateway.routes.event_loop import EventLoopBlueprint
from services.gateway.routes.page_files import PageFile, read_page_files
from services.gateway.routes.responses import loop_json_response
from services.gateway.schemas.catalog import Index
from services.gateway.scopes import PUBLIC
from shared.errors import NotFoundError
from shared.web.routes import BufferedRequest, Route

TAG = Tag(name="page", description="The web page, and where to go from here")
FOLDER = Path(__file__).resolve().parents[2] / "dashboard"
VIEWS = ("train", "search", "draw", "compare", "load", "releases", "code", "models", "data", "queue")
# Scripts and styles come from files of this origin only. Pictures that need a token are read by a script, which shows
# them as `blob:`. uPlot and Preact set styles through the CSSOM, which this policy allows.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Cache-Control": "no-cache",  # a browser asks each time, and gets 304 if nothing has changed
    "Content-Security-Policy": PAGE_POLICY,
    "Vary": "Accept, Accept-Encoding",
}


def routes(context: Context) -> EventLoopBlueprint:
    """Return the routes of this resource."""
    api = EventLoopBlueprint("dashboard", __name__, method="GET", abp_tags=[TAG])
    files = page_files()

    @api.get("/", security=PUBLIC, responses={200: Index})
    async def index(request: BufferedRequest) -> web.Response:
        """Return the web page to a browser, and to other clients the API's most important addresses."""
        if "text/html" in request.headers.get(hdrs.ACCEPT, ""):
            return await view(request)
        response = loop_json_response(
            Index(
                name="Tandem",
                page="/train",
                docs="/docs",
                openapi="/openapi.json",
                status="/v1/status",
                health="/v2/health/ready",
            )
        )
        response.headers[hdrs.VARY] = "Accept"
        return response

    async def view(request: BufferedRequest) -> web.Response:
        return _file_response(request, files.get("index.html"))

    async def file(request: BufferedRequest) -> web.Response:
        return _file_response(request, files.get(request.path_values["file"]))

    # OpenAPI describes the API only, so these two are not declared with a decorator.
    views = re.compile("/(?:" + "|".join(VIEWS) + ")")
    api.event_loop_routes.append(Route("/<view>", views, view, method="GET"))
    api.event_loop_routes.append(Route("/page/<file>", re.compile("/page/(?P<file>.+)"), file, method="GET"))
    return api


@cache
def page_files() -> dict[str, PageFile]:
    """Return the files of the page. They are read and compressed once."""
    return read_page_files(FOLDER)


def public_page_paths() -> list[str]:
    """Return the paths of the page and of all its files: everybody may ask for them."""
    return [*(f"/{view}" for view in VIEWS), *(f"/page/{name}" for name in page_files())]


def _file_response(request: BufferedRequest, file: PageFile | None) -> web.Response:
    """Return a file, compressed if the client accepts that, or 304 if the client has it already.

    Raises:
        NotFoundError: there is no such file.
    """
    if file is None:
        raise NotFoundError("the page has no such file")
    is_compressed = "gzip" in request.headers.get(hdrs.ACCEPT_ENCODING, "").lower()
    tag = f'"{file.tag}-gzip"' if is_compressed else f'"{file.tag}"'
    headers = {**HEADERS, hdrs.ETAG: tag}
    if tag in request.headers.get(hdrs.IF_NONE_MATCH, ""):
        return web.Response(status=304, headers=headers)
    headers[hdrs.CONTENT_TYPE] = file.media_type
    if is_compressed:
        headers[hdrs.CONTENT_ENCODING] = "gzip"
    return web.Response(body=file.compressed if is_compressed else file.content, headers=headers)
