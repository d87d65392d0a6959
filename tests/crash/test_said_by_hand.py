"""What was said of ids by hand: bounded in each edit of the manifest, the rest in files; known
after a kill and a power cut; gone from all of them with an erased user.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import msgpack
import pytest

import zuji
from tests.crash.scenario import START_MS
from tests.crash.sites import cut_off, kill_at, sites_of
from tests.crash.test_identity import check, run
from zuji.engine.errors import UnsupportedFormat
from zuji.engine.index import link_files, link_store
from zuji.engine.index.link_files import read_links
from zuji.engine.storage.files import Files
from zuji.engine.storage.manifest import Manifest

BY_HAND = zuji.Config(background=False, threads=1)


@pytest.fixture(autouse=True)
def _few(monkeypatch):
    monkeypatch.setattr(link_store, "MOST_SAID", 2)
    monkeypatch.setattr(link_files, "FILES_ALIKE", 2)


def links_of(root):
    """What the manifest says of links."""
    found = Manifest.open(Files(), os.path.join(root, "default"), read_only=True)
    return found.state.extra["links"]


def append(engine, n):
    row = {"event": "look", "time": START_MS + n, "user_id": "w", "device_id": f"o{n}"}
    engine.append_batch(msgpack.packb([row]))


def test_an_edit_repeats_a_few_things_said_and_files_have_the_rest(tmp_path):
    with zuji.open(tmp_path, config=BY_HAND) as engine:
        for n in range(30):
            engine.identity.bind(f"u{n}", f"d{n % 7}", START_MS + n, why=f"reason {n}")
            if n % 4 == 3:
                append(engine, n)
                engine.flush()
            if n % 10 == 9:
                engine.identity.undo(f"u{n}", f"d{n % 7}")
        log = engine.identity.log()
        assert len(log) == 33
    for _ in range(2):
        with zuji.open(tmp_path, config=BY_HAND) as engine:
            assert engine.identity.log() == log
            append(engine, 99)
            engine.flush()
            told = links_of(tmp_path)
            assert len(told["log"]) <= 2
            assert 0 < len(told["files"]) < 8
            assert list(engine.scrub()) == []


def test_what_was_said_of_an_erased_user_is_in_no_file(tmp_path):
    mark = "zz-secret"
    with zuji.open(tmp_path, config=BY_HAND) as engine:
        for n in range(12):
            user = mark if n % 3 == 0 else f"u{n}"
            engine.identity.bind(user, f"d{n}", START_MS + n, why=user)
            append(engine, n)
            if n % 2:
                engine.flush()
        engine.people.erase({"user_id": mark})
        left = engine.identity.log()
        assert len(left) == 8
        assert not any(mark in str(one) for one in left)
    with zuji.open(tmp_path, config=BY_HAND) as engine:
        assert engine.identity.log() == left
        assert "unsaid" in links_of(tmp_path)
        engine.people.purge()
        assert engine.identity.log() == left
        assert "unsaid" not in links_of(tmp_path) or links_of(tmp_path)["unsaid"] == []
        engine.identity.bind("later", "d1", START_MS)
        left = engine.identity.log()
    with zuji.open(tmp_path, config=BY_HAND) as engine:
        assert engine.identity.log() == left
        for name, _ in links_of(tmp_path)["files"]:
            read = read_links(Files(), os.path.join(tmp_path, "default", name))
            assert not any(mark in str(one) for one in read.said)


def test_a_file_of_a_later_release_is_refused(tmp_path):
    with zuji.open(tmp_path, config=BY_HAND) as engine:
        for n in range(5):
            engine.identity.bind("u", f"d{n}", START_MS + n)
        engine.flush()
    name = links_of(tmp_path)["files"][-1][0]
    path = Path(tmp_path) / "default" / name
    assert path.read_bytes()[8] == 2  # has things said
    header = bytearray(path.read_bytes())
    header[8] = 3
    header[36:40] = link_files.crc32c(bytes(header[:36])).to_bytes(4, "little")
    path.write_bytes(header)
    with pytest.raises(UnsupportedFormat, match="format version 3"):
        read_links(Files(), str(path))


@pytest.mark.usefixtures("same_project")
@pytest.mark.parametrize("half", [False, True])
def test_a_kill_at_sampled_calls_forgets_nothing_said(fast_path, half):
    count = sites_of(run, os.path.join(fast_path, "count"))
    rng = random.Random(f"said {half}")
    kill_at(fast_path, sorted(rng.sample(range(count), 15)), run, check, half=half)


@pytest.mark.usefixtures("same_project")
def test_sampled_states_after_a_power_cut_forget_nothing_said(fast_path):
    assert cut_off(fast_path, run, check, every=101) > 3
