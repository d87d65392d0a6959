"""Keys: shown once, stored as digests, refused as soon as they are taken back."""

import sqlite3
from unittest.mock import Mock

import pytest

from zuji.engine.errors import InvalidInput, NotFound, StorageFailed, UnsupportedFormat
from zuji.server.auth import KeyRing, Kind, list_keys, make_key, revoke_key
from zuji.server.auth import keys as module
from zuji.server.meta import open_store


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LOOK_S", 0.0)
    opened = open_store(str(tmp_path))
    yield opened
    opened.close()


def test_a_key_is_found_by_its_text_alone(store, tmp_path):
    key, text = make_key(store, "bank", Kind.WRITE, "app")
    ring = KeyRing(store)
    assert ring.find(text) == key
    wrong = text[:-1] + ("a" if text[-1] != "a" else "b")
    for other in ("", "x", wrong, text + "a", text[:-1], key.id, "zk_w__", "zk_w_" + "a" * 8):
        assert ring.find(other) is None
    assert text.encode() not in (tmp_path / "server.db").read_bytes()
    assert list_keys(store) == [key]
    assert list_keys(store, "other") == []


@pytest.mark.parametrize("whole", [True, False])
def test_another_process_makes_and_takes_back(store, tmp_path, whole):
    ring = KeyRing(store)
    assert ring.find("zk_w_aaaaaaaa_" + "a" * 32) is None
    other = open_store(str(tmp_path))
    key, text = make_key(other, "bank", Kind.READ)
    assert ring.find(text) == key
    gone = revoke_key(other, text if whole else key.id)
    other.close()
    assert gone.revoked_ms is not None
    assert ring.find(text) is None
    assert list_keys(store)[0].revoked_ms == gone.revoked_ms


def test_nobody_is_let_in_by_rows_that_may_be_old(store, tmp_path, monkeypatch):
    key, text = make_key(store, "bank", Kind.READ)
    ring = KeyRing(store)
    assert ring.find(text) == key
    other = open_store(str(tmp_path))
    revoke_key(other, key.id)
    other.close()
    with monkeypatch.context() as patch:
        patch.setattr(store, "session", Mock(side_effect=StorageFailed("disk")))
        for _ in range(2):
            with pytest.raises(StorageFailed):
                ring.find(text)
    assert ring.find(text) is None


def test_kinds():
    assert Kind.ADMIN.may(Kind.READ)
    assert Kind.ADMIN.may(Kind.WRITE)
    assert not Kind.READ.may(Kind.WRITE)
    assert not Kind.WRITE.may(Kind.ADMIN)


def test_what_is_not_there(store):
    with pytest.raises(NotFound, match="no key 'none'"):
        revoke_key(store, "none")
    with pytest.raises(InvalidInput, match="200 characters"):
        make_key(store, "bank", Kind.READ, "x" * 201)


def test_a_database_of_a_newer_release_is_refused(store, tmp_path):
    with sqlite3.connect(tmp_path / "server.db") as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(UnsupportedFormat, match="newer release"):
        open_store(str(tmp_path))


@pytest.mark.parametrize("url", ["nonsense", "nosuch://x/y"])
def test_a_bad_url_is_named(tmp_path, url):
    with pytest.raises(InvalidInput, match="database"):
        open_store(str(tmp_path), url)
