"""The documentation page and what it loads."""

from __future__ import annotations

import re

import pytest

from podium.errors import NotFound
from podium.protocol import docs_page


def test_the_page_is_about_the_endpoint_and_loads_only_what_is_here() -> None:
    page = docs_page.page("diabetes<1>")
    html = page.content.decode()

    assert page.content_type.startswith("text/html")
    assert "<title>diabetes&lt;1&gt;: Podium</title>" in html
    loaded = re.findall(r'(?:src|href)="(?!data:|openapi.json)([^"]+)"', html)
    assert loaded
    for path in loaded:
        assert docs_page.asset(path.removeprefix("docs/")).content


def test_assets_have_the_type_that_browsers_want() -> None:
    assert docs_page.asset("swagger-ui-bundle.js").content_type.startswith("text/javascript")
    assert docs_page.asset("swagger-ui.css").content_type.startswith("text/css")


@pytest.mark.parametrize("name", ["../oip.py", "docs.html", "LICENSE", "swagger-ui/LICENSE", ""])
def test_nothing_else_is_served(name: str) -> None:
    with pytest.raises(NotFound, match="there are"):
        docs_page.asset(name)
