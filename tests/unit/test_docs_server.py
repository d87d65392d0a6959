"""docs/server.md says what the server does."""

import json
import re
from pathlib import Path

from zuji.server.api.app import Api, make_api
from zuji.server.api.openapi import document
from zuji.server.api.problems import STATUS
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


def test_every_code_of_an_error_has_its_line():
    part = PAGE.split("### Errors of the API", 1)[1].split("\n## ", 1)[0]
    rows = re.findall(r"^\| (`.+?`) \| (\d+) \|", part, re.MULTILINE)
    told = {code: int(status) for codes, status in rows for code in re.findall(r"`(\w+)`", codes)}
    assert told == {**STATUS, "method_not_allowed": 405, "not_ready": 503}


def test_the_openapi_document_is_whole():
    """Every reference leads somewhere, operations have names of their own, answers and errors."""
    whole = document()
    assert whole["openapi"] == "3.1.0"
    text = json.dumps(whole)
    for path in set(re.findall(r'"\$ref": "#/([^"]+)"', text)):
        found = whole
        for part in path.split("/"):
            found = found[part]
    assert "#/$defs/" not in text
    operations = [one for each in whole["paths"].values() for one in each.values()]
    named = [one["operationId"] for one in operations if "operationId" in one]
    assert len(named) == len(set(named))
    api = Api(Settings(data="x"), None, None, Metrics())
    api.desk.close()
    together = {}
    for route in make_api(api).routes:
        if getattr(route, "methods", None):
            together.setdefault(route.path, set()).update(route.methods - {"HEAD"})
    for path, operations in whole["paths"].items():
        assert {name.upper() for name in operations} == together[path], path
        for operation in operations.values():
            assert operation["summary"]
            assert "default" in operation["responses"] or operation.get("security") == []
            assert "200" in operation["responses"]
