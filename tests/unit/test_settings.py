"""Settings: sources in their order, and what is wrong with each said clearly."""

from dataclasses import fields

import pytest

from zuji.engine.errors import InvalidInput
from zuji.server.settings import SETTINGS, Settings, load


def test_later_sources_win(tmp_path):
    file = tmp_path / "zuji.toml"
    file.write_text('data = "/file"\nuri_bytes = 1\nheader_fields = 2\nidle_seconds = 3\n')
    env = {"ZUJI_CONFIG": str(file), "ZUJI_HEADER_FIELDS": "20", "ZUJI_DEV": "yes"}
    found = load({"uri_bytes": 100, "tls_cert": None}, environment=env, said=["body_rate=7"])
    assert (found.data, found.uri_bytes, found.header_fields) == ("/file", 100, 20)
    assert (found.idle_seconds, found.dev, found.body_rate) == (3.0, True, 7)


@pytest.mark.parametrize(
    ("flags", "env", "said", "message"),
    [
        ({}, {}, [], "no data directory"),
        ({"data": "d", "tls_cert": "c"}, {}, [], "go together"),
        ({"data": "d"}, {"ZUJI_DEV": "perhaps"}, [], "ZUJI_DEV: dev is true or false"),
        ({"data": "d"}, {"ZUJI_URI_BYTES": "8k"}, [], "uri_bytes is a whole number, got '8k'"),
        ({"data": "d"}, {}, ["uri_byte=1"], "did you mean 'uri_bytes'"),
        ({"data": "d"}, {}, ["uri_bytes"], "--set is name=value"),
        ({"data": "d"}, {}, ["uri_bytes=-1"], "cannot be negative"),
        ({"data": "d", "collect": "8106"}, {}, [], "collect is host:port"),
        ({"data": "d", "collect": "h:99999"}, {}, [], "collect is host:port"),
        ({"data": "d", "collect": "", "api": ""}, {}, [], "nothing to serve"),
        ({"data": "d", "dev": True, "api": "0.0.0.0:1"}, {}, [], "must be on loopback"),
        ({"data": "d", "dev": True, "collect": ":1"}, {}, [], "must be on loopback"),
        ({"data": "d", "log_level": "loud"}, {}, [], "log_level is debug"),
    ],
)
def test_what_is_wrong_is_said(flags, env, said, message):
    with pytest.raises(InvalidInput, match=message):
        load(flags, environment=env, said=said)


@pytest.mark.parametrize("text", ["data = [", "nothing = 1", "uri_bytes = 'x'", "\xff"])
def test_a_bad_file_is_named(tmp_path, text):
    file = tmp_path / "zuji.toml"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(InvalidInput, match=r"zuji\.toml"):
        load({"data": "d"}, environment={}, config=file)
    with pytest.raises(InvalidInput, match=r"none\.toml: No such file"):
        load({"data": "d"}, environment={}, config=tmp_path / "none.toml")


def test_every_setting_is_explained():
    assert [s.name for s in SETTINGS] == [f.name for f in fields(Settings)]
    assert all(s.meaning for s in SETTINGS)
