"""``GET /v1/users/profile``: who a user is."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

import zuji
from zuji.engine.errors import NotFound
from zuji.server.api.app import Api, make_api
from zuji.server.metrics import Metrics
from zuji.server.settings import Settings

START = 1_790_827_200_000


def profile(hours, properties, kind="profile_set", **whose):
    return {"type": kind, "time": START + hours * 3_600_000, **whose, "properties": properties}


@pytest.fixture
def engine(tmp_path):
    with zuji.open(tmp_path) as engine:
        engine.append(
            [
                profile(0, {"level": "gold", "theme": "light"}, user_id="ann"),
                profile(1, {"theme": "dark", "seen": 1}, device_id="phone"),
                profile(2, {"hobbies": ["chess", "go"]}, user_id="ann"),
                profile(4, {"level": "new"}, device_id="tablet"),
                {
                    "event": "login",
                    "time": START + 5 * 3_600_000,
                    "user_id": "ann",
                    "device_id": "phone",
                },
            ]
        )
        yield engine


def test_what_a_device_sent_before_the_login_is_the_customers(engine):
    whole = {"level": "gold", "theme": "dark", "seen": 1, "hobbies": ["chess", "go"]}
    assert engine.people.profile({"user_id": "ann"}) == whole
    assert engine.people.profile({"device_id": "phone"}) == whole
    assert engine.people.profile({"device_id": "tablet"}) == {"level": "new"}
    engine.flush()
    engine.compact()
    assert engine.people.profile({"user_id": "ann"}) == whole
    with pytest.raises(NotFound):
        engine.people.profile({"user_id": "nobody"})


def test_it_is_what_queries_see(engine):
    for name, expected in (("level", "gold"), ("theme", "dark")):
        answer = engine.query(
            {
                "model": "user_property",
                "body": {},
                "audience": {"user": {"p": "user.level", "op": "eq", "v": "gold"}},
                "by": [{"p": f"user.{name}"}],
            }
        )
        assert answer.rows[0][0] == expected
        assert engine.people.profile({"user_id": "ann"})[name] == expected


def test_the_route_tells_properties_tags_and_cohorts(engine, tmp_path):
    for name, level in (("golden", "gold"), ("others", "new")):
        rule = {"user": {"p": "user.level", "op": "eq", "v": level}}
        engine.cohorts.define({"name": name, "rule": rule})

    class Projects:
        name, engine = "default", None

        def get(self, _name):
            return self

        def all(self):
            return [self]

        def allowed(self, _bearer, _need):
            return None

    project = Projects()
    project.engine = engine
    api = Api(Settings(data=str(tmp_path)), project, project, Metrics())
    with TestClient(make_api(api), base_url="http://127.0.0.1") as client:
        ann = client.get("/v1/users/profile", params={"user_id": "ann"})
        assert ann.status_code == 200
        assert ann.json()["cohorts"] == ["golden"]
        assert ann.json()["tags"] == {}
        assert ann.json()["properties"]["hobbies"] == ["chess", "go"]
        assert client.get("/v1/users/profile", params={"user_id": "x"}).status_code == 404
        assert client.get("/v1/users/profile").json()["error"]["code"] == "invalid_input"
        both = {"user_id": "ann", "device_id": "phone"}
        assert client.get("/v1/users/profile", params=both).status_code == 400
    api.desk.close()
