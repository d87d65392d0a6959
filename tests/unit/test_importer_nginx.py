"""Access logs: what stands in a line, who and what it is, and lines that are none."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zuji.engine.errors import InvalidInput
from zuji.server.importer.readers.log_format import compiled, unescaped
from zuji.server.importer.readers.nginx import LogRules, NginxReader

LINE = '{ip} - {who} [{time}] "{request}" {status} {size} "{referrer}" "{agent}"'
USUAL = {
    "ip": "10.1.2.3",
    "who": "-",
    "time": "01/Oct/2026:12:00:00 +0800",
    "request": "GET /a HTTP/1.1",
    "status": "200",
    "size": "512",
    "referrer": "-",
    "agent": "Mozilla/5.0 (X11; Linux)",
}
NOON = datetime(2026, 10, 1, 4, tzinfo=UTC)


def line(**other):
    return LINE.format(**{**USUAL, **other})


def read(tmp_path, lines, block_bytes=1 << 20, **rules):
    path = tmp_path / "access.log"
    data = "\n".join(lines) if isinstance(lines, list) else lines
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    rows, rejects, skipped = [], [], 0
    for chunk in NginxReader(path, LogRules(**rules), block_bytes=block_bytes).chunks():
        rows += [
            (number, {k: v for k, v in row.items() if v is not None})
            for number, row in zip(chunk.numbers.tolist(), chunk.table.to_pylist(), strict=True)
        ]
        rejects += chunk.rejects
        skipped += chunk.skipped
    return rows, rejects, skipped


def test_a_combined_line_is_its_parts(tmp_path):
    rows, rejects, _ = read(
        tmp_path, [line(request="POST /pay/1?x=1&y HTTP/2.0", referrer="https://a.cn/?q=1")]
    )
    assert rejects == []
    assert rows == [
        (
            1,
            {
                "time": NOON,
                "method": "POST",
                "path": "/pay/1",
                "protocol": "HTTP/2.0",
                "status": 200,
                "bytes": 512,
                "referrer": "https://a.cn/?q=1",
                "user_agent": "Mozilla/5.0 (X11; Linux)",
            },
        )
    ]


def test_addresses_names_and_queries_are_read_only_when_they_are_named(tmp_path):
    lines = [line(request="GET /a?uid=u%E4%BD%A0+1&x=2 HTTP/1.1", who="bob")]
    assert not {"remote_addr", "remote_user", "query"} & set(read(tmp_path, lines)[0][0][1])
    asked = frozenset({"remote_addr", "remote_user", "query", "arg_uid", "arg_no"})
    row = read(tmp_path, lines, asked=asked)[0][0][1]
    assert (row["remote_addr"], row["remote_user"]) == ("10.1.2.3", "bob")
    assert row["query"] == "uid=u%E4%BD%A0+1&x=2"
    assert row["arg_uid"] == "u你 1"
    assert "arg_no" not in row


def test_who_it_is_from_a_cookie_or_anywhere_in_the_line(tmp_path):
    form = '$remote_addr [$time_local] "$request" $status "$http_cookie"'
    text = '1.1.1.1 [01/Oct/2026:12:00:00 +0800] "GET / HTTP/1.1" 200 "a=1; uid=abc; b=2"'
    row = read(tmp_path, [text], log_format=form, asked=frozenset({"cookie_uid"}))[0][0][1]
    assert row["cookie_uid"] == "abc"
    assert "http_cookie" not in row
    row = read(tmp_path, [text], log_format=form, client_id=r"uid=(?P<id>\w+)")[0][0][1]
    assert row["client_id"] == "abc"


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("$time_iso8601 $status $request_uri", "2026-10-01T12:00:00+08:00 200 /a?b"),
        ("$msec|$status|$request_time|$uri", "1790827200.000|200|0.25|/a"),
        (
            '{"t":"$time_iso8601","s":$status,"r":"$request","u":"$http_user_agent"}',
            '{"t":"2026-10-01T04:00:00Z","s":200,"r":"GET /a HTTP/1.1","u":"a \\"b\\""}',
        ),
        ("[$time_local] $status ${request_uri}", "[01/Oct/2026:04:00:00 +0000] 200 /a"),
    ],
)
def test_log_formats_of_users(tmp_path, form, text):
    ((_, row),), rejects, _ = read(tmp_path, [text], log_format=form)
    assert rejects == []
    assert (row["time"], row["status"], row["path"]) == (NOON, 200, "/a")


@pytest.mark.parametrize("form", ["no variables", "$a$time_local", "$status", "[$remote_addr] x"])
def test_log_formats_that_cannot_be_read_say_so(form):
    with pytest.raises(InvalidInput, match="--log-format"):
        compiled(form)


def test_events_by_rule_and_paths_left_out(tmp_path):
    lines = [line(request=f"GET {p} HTTP/1.1") for p in ("/pay", "/x.gif", "/other", "/pay/2")]
    rules = {"events": (("^/pay/", "detail"), ("^/pay", "pay")), "skip": (r"\.gif$",)}
    rows, _, skipped = read(tmp_path, lines, **rules)
    assert [(number, row["event"]) for number, row in rows] == [(1, "pay"), (4, "detail")]
    assert skipped == 2
    rows, _, skipped = read(tmp_path, lines, otherwise="view", **rules)
    assert [row["event"] for _, row in rows] == ["pay", "view", "detail"]
    assert skipped == 1


def test_lines_that_are_none_are_refused_by_number(tmp_path):
    lines = [
        line().encode(),
        b"garbage",
        b"",
        line(time="41/Oct/2026:12:00:00 +0800").encode(),
        b"\xff\xfe\x00",
        line(agent="bare\rreturn").encode(),
        b"x" * 1_000_000,
        line(request="\\x16\\x03\\x01", status="400").encode(),
        line()[:60].encode(),
    ]
    rows, rejects, _ = read(tmp_path, b"\n".join(lines))
    assert [number for number, _ in rows] == [1, 6, 8]
    assert [(r.row, r.reason) for r in rejects] == [
        (2, "bad_line"),
        (4, "bad_time"),
        (5, "bad_utf8"),
        (7, "bad_line"),
        (9, "bad_line"),
    ]
    assert all(len(r.values) <= 300 for r in rejects)
    assert "path" not in rows[-1][1]


def test_a_file_of_another_kind_says_so(tmp_path):
    with pytest.raises(InvalidInput, match=r"no line fits the log format.*--log-format"):
        read(tmp_path, ["a,b,c", "1,2,3"])
    with pytest.raises(InvalidInput, match="no regular expression"):
        read(tmp_path, [line()], skip=("(",))
    with pytest.raises(InvalidInput, match="group"):
        read(tmp_path, [line()], client_id="uid=.*")


def test_escapes_are_what_they_stand_for():
    assert unescaped("\\xE4\\xBD\\xA0\\x22 plain \\xZZ") == '你" plain \\xZZ'
    assert unescaped("\\xFF") == "\ufffd"


def test_a_compressed_log_resumes_at_any_block(tmp_path):
    path = tmp_path / "access.log.gz"
    texts = [line(request=f"GET /{n} HTTP/1.1") for n in range(300)]
    path.write_bytes(gzip.compress("\n".join(texts).encode()))
    reader = NginxReader(path, LogRules(), block_bytes=2000)
    whole = [row for chunk in reader.chunks() for row in chunk.table["path"].to_pylist()]
    assert whole == [f"/{n}" for n in range(300)]
    seen = 0
    for chunk in reader.chunks():
        seen += chunk.table.num_rows
        rest = [row for one in reader.chunks(chunk.end) for row in one.table["path"].to_pylist()]
        assert rest == whole[seen:]


@settings(max_examples=150, deadline=None)
@given(data=st.binary(max_size=300), good=st.integers(0, 2))
def test_any_bytes_are_rows_or_refusals(tmp_path_factory, data, good):
    tmp_path = tmp_path_factory.mktemp("log")
    text = b"\n".join([line().encode(), *[line().encode()] * good, data])
    rows, rejects, skipped = read(tmp_path, text, block_bytes=100)
    numbers = [number for number, _ in rows] + [r.row for r in rejects]
    assert len(numbers) == len(set(numbers))
    filled = sum(1 for one in text.split(b"\n") if one.strip(b" \t\r\n\x0b\x0c\x1c\x1d\x1e\x1f"))
    assert len(rows) + len(rejects) + skipped <= filled
    assert len(rows) >= good + 1
