"""Files of links: those that the manifest names are all there are."""

from __future__ import annotations

import zuji


def there(folder):
    return {file.name for file in (folder / "p" / "ids").glob("*.zlnk")}


def named(engine):
    links = engine._writer.manifest.state.extra.get("links") or {}
    return {name.rpartition("/")[2] for name, _ in links.get("files", [])}


def test_a_file_that_becomes_part_of_another_at_once_goes_at_once(tmp_path):
    """It stayed until the project was opened again, with ids of people who were erased since."""
    config = zuji.Config(background=False)
    with zuji.open(tmp_path, "p", config=config) as engine:
        merged = 0
        for n in range(12):
            both = {"user_id": f"u{n}", "device_id": f"d{n}"}
            engine.append([{"event": "visit", "time": 1_790_784_000_000 + n, **both}])
            before = named(engine)
            engine.flush()
            assert there(tmp_path) == named(engine)
            merged += not before <= named(engine)
        assert merged > 1
