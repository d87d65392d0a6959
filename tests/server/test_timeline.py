"""``/v1/users/timeline`` as parameters and as a document, and ``zuji timeline``."""

from __future__ import annotations

import json

import pytest
from starlette.testclient import TestClient

import zuji
from zuji.server.api.app import Api, make_api
from zuji.server.cli import run
from zuji.server.metrics import Metrics
from zuji.server.settings import Settings

START = 1_790_827_200_000  # 2026-10-01 12:00 in Shanghai


class OneProject:
    """Projects and keys of a server in development mode."""

    def __init__(self, engine):
        self.engine, self.name = engine, "default"

    def get(self, _name):
        return self

    def all(self):
        return [self]

    def allowed(self, _bearer, _need):
        return None


@pytest.fixture
def data(tmp_path):
    with zuji.open(tmp_path) as engine:
        engine.append(
            {
                "user_id": "ann",
                "event": name,
                "time": START + minute * 60_000,
                "properties": {"m": minute},
            }
            for name, minute in (("open", 0), ("view", 20), ("view", 20), ("pay", 60))
        )
    return tmp_path


@pytest.fixture
def client(data):
    with zuji.open(data) as engine:
        project = OneProject(engine)
        api = Api(Settings(data=str(data)), project, project, Metrics())
        with TestClient(make_api(api), base_url="http://127.0.0.1") as client:
            yield client
        api.desk.close()


def shown(answer):
    return [(row[1], row[2]) for row in answer.json()["rows"]]


def test_parameters_and_documents_ask_the_same(client):
    whole = client.get("/v1/users/timeline", params={"user_id": "ann"})
    assert shown(whole) == [("open", 1), ("view", 1), ("view", 1), ("pay", 2)]
    asked = {"user_id": "ann", "e": ["view", "pay"], "order": "desc", "limit": 2}
    page = client.get("/v1/users/timeline", params=asked)
    assert shown(page) == [("pay", 2), ("view", 1)]
    assert page.json()["rows"] == client.post("/v1/users/timeline", json=asked).json()["rows"]
    rest = client.get("/v1/users/timeline", params={**asked, "cursor": page.json()["meta"]["next"]})
    assert shown(rest) == [("view", 1)]
    assert rest.json()["meta"]["next"] is None
    timed = client.get(
        "/v1/users/timeline",
        params={"user_id": "ann", "to": "2026-10-01T12:00:01+08:00", "e": "*", "tz": "UTC"},
    )
    assert shown(timed) == [("open", 1)]


@pytest.mark.parametrize(
    ("parameters", "status", "path"),
    [
        ({}, 400, "$.user_id"),
        ({"user_id": "ann", "limit": "x"}, 400, "$.limit"),
        ({"user_id": "ann", "limit": "0"}, 400, "$.limit"),
        ({"user_id": "ann", "wher": "x"}, 400, "$.wher"),
        ({"user_id": "nobody"}, 404, None),
    ],
)
def test_wrong_questions(client, parameters, status, path):
    answer = client.get("/v1/users/timeline", params=parameters)
    assert answer.status_code == status
    assert answer.json()["error"].get("path") == path


def test_command(data, capsys):
    assert run(["timeline", "ann", "--data", str(data), "-f", "json", "--limit", "3"]) == 0
    out = capsys.readouterr()
    found = json.loads(out.out)
    assert [row[1] for row in found["rows"]] == ["open", "view", "view"]
    cursor = found["meta"]["next"]
    assert f"--cursor {cursor}" in out.err
    flags = ["--cursor", cursor, "-f", "csv", "--where", '{"p": "event.m", "op": "gt", "v": 20}']
    assert run(["timeline", "ann", "--data", str(data), *flags]) == 0
    assert [line.split(",")[1] for line in capsys.readouterr().out.splitlines()] == ["event", "pay"]
    assert run(["timeline", "ann", "--data", str(data), "-e", "open", "--newest", "-q"]) == 0
    assert "open" in capsys.readouterr().out
    assert run(["timeline", "ann", "--data", str(data), "--where", "[]"]) != 0
    assert "--where" in capsys.readouterr().err
    assert run(["timeline", "ann", "--data", str(data), "--device"]) != 0
