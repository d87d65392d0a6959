"""SQL from the command line and over the API."""

import json

import httpx
import pytest

from tests.e2e.test_cli import call, good
from tests.e2e.test_serve import served, zuji_key

TEXT = "SELECT event, count(*) AS n FROM events GROUP BY event ORDER BY n DESC"


@pytest.fixture
def project(tmp_path):
    lines = ["user,event,time,amount"]
    lines += [f"u{i % 3},{'pay' if i % 4 else 'open'},2026-10-01,{i}" for i in range(20)]
    (tmp_path / "f.csv").write_text("\n".join(lines) + "\n")
    good("import", "f.csv", "-d", "data", "--user", "user", cwd=tmp_path)
    return tmp_path


def test_a_statement_on_the_command_line(project):
    shown = good("sql", TEXT, "-d", "data", cwd=project)
    assert "pay" in shown
    assert good("sql", TEXT, "-d", "data", "-f", "csv", cwd=project).splitlines() == [
        "event,n",
        "pay,15",
        "open,5",
    ]
    (project / "q.sql").write_text(TEXT)
    answer = json.loads(good("sql", "q.sql", "-d", "data", "-f", "json", cwd=project))
    assert answer["rows"] == [["pay", 15], ["open", 5]]
    assert good("sql", "-", "-d", "data", "-f", "csv", cwd=project, given=TEXT.encode())
    for text, status, said in (
        ("DROP TABLE events", 2, "only reading"),
        ("SELECT nothing FROM events", 2, "nothing"),
        ("none.sql", 3, "no such file"),
    ):
        done = call("sql", text, "-d", "data", cwd=project)
        assert (done.returncode, said in done.stderr.decode()) == (status, True), done.stderr


def test_a_statement_over_the_api(project):
    data = project / "data"
    key = zuji_key(data, "create", "--project", "default", "--read")
    write = zuji_key(data, "create", "--project", "default", "--write")
    with served(data) as server, httpx.Client(base_url=server.api, timeout=30) as http:
        headers = {"Authorization": f"Bearer {key}"}
        found = http.post("/v1/sql", json={"sql": TEXT}, headers=headers)
        assert found.json()["rows"] == [["pay", 15], ["open", 5]]
        csv = http.post("/v1/sql?format=csv", json={"sql": TEXT}, headers=headers)
        assert csv.text.splitlines() == ["event,n", "pay,15", "open,5"]
        for body in ({"sql": "SELECT 1; SELECT 2"}, {"sql": 1}, {}, {"sql": "SELECT", "x": 1}):
            refused = http.post("/v1/sql", json=body, headers=headers)
            assert refused.json()["error"]["code"] == "invalid_query", refused.text
        assert http.post("/v1/sql", json={"sql": TEXT}).status_code == 401
        other = http.post("/v1/sql", json={"sql": TEXT}, headers={"Authorization": write})
        assert other.status_code in (401, 403)
