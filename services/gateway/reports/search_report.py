"""Renders the report of a search as a page."""

from services.gateway.schemas.searches import Search


def render_search(search: Search) -> str:
    """Return an HTML page. It refers to no other file."""
    return f"<p>{search.id}"
