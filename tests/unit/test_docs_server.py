"""docs/server.md says what the server does."""

import re
from pathlib import Path

from zuji.server.api.app import _STATUS, Api
from zuji.server.api.openapi import document
from zuji.server.metrics import Metrics
from zuji.server.protocols import PROTOCOLS
from zuji.server.settings import SETTINGS, Settings

PAGE = (Path(__file__).parents[2] / "docs/server.md").read_text("utf-8")


def test_every_setting_has_its_line():
    table = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+?) \| (.+?) \|$", PAGE, re.MULTILINE)
    assert table == [(s.name, s.default or "–", s.unit or "–", s.meaning) for s in SETTINGS]


def test_every_path_is_named():
    api = Api(Settings(data="x"), None, None, Metrics())
    for route in api.routes():
        path = route.path
        if not path.startswith("/docs/"):
            assert path in PAGE, path
            assert path in document()["paths"] or path in ("/docs", "/openapi.json"), path
    api.desk.close()
    for protocol in PROTOCOLS:
        for path in protocol.paths:
            assert path in PAGE, path
    assert set(document()["paths"]) <= {route.path for route in api.routes()}


def test_errors_have_a_status():
    assert {400, 401, 403, 404, 422, 503, 507} <= set(_STATUS.values())
