"""Every file name of a project directory, in one place.

::

    <project>/
      LOCK                        lock file; its text is the holder's process id
      CURRENT                     name of the manifest in force
      MANIFEST-00000001           manifest log                       docs/format/manifest.md
      wal/00000001.wal            write-ahead log                    docs/format/wal.md
      segments/00000001.zseg      immutable columnar file            docs/format/segment.md
      ids/00000001.zids           chunk of the id dictionary of a shard
      ids/00000001.zlnk           which ids were seen together     docs/format/links.md
      dedup/00000001.zded         keys of batches and events seen
      items/00000001.zitm         records of items                   docs/format/items.md
      quarantine/…                damaged bytes and rejected events, kept for inspection
      definitions.json            virtual events and properties      docs/virtual.md
      people/<kind>.json          catalogue of cohorts, tags, …      docs/format/people.md
      people/<kind>/00000001.zblob  members, values of tags          docs/format/people.md
      *.tmp                       being written; removed when the project is opened for writing

All names are relative to the project directory and use ``/``. Numbers have eight digits (more when
they need more), so that a sorted listing is in order. Functions that parse return None for a
foreign name. Pure functions, no state.
"""

from __future__ import annotations

import os
import re

LOCK = "LOCK"
CURRENT = "CURRENT"
DEFINITIONS = "definitions.json"
WAL_DIR = "wal"
SEGMENT_DIR = "segments"
IDS_DIR = "ids"
DEDUP_DIR = "dedup"
ITEMS_DIR = "items"
QUARANTINE_DIR = "quarantine"
PEOPLE_DIR = "people"
DIRECTORIES = (WAL_DIR, SEGMENT_DIR, IDS_DIR, DEDUP_DIR, QUARANTINE_DIR)
TMP_SUFFIX = ".tmp"
DAMAGED_SUFFIX = ".damaged"

_MANIFEST = re.compile(r"MANIFEST-(\d{8,})\Z")
_WAL = re.compile(r"(\d{8,})\.wal\Z")
_SEGMENT = re.compile(r"(\d{8,})\.zseg\Z")
_IDS = re.compile(r"(\d{8,})\.zids\Z")
_LINKS = re.compile(r"(\d{8,})\.zlnk\Z")
_DEDUP = re.compile(r"(\d{8,})\.zded\Z")
_BLOB = re.compile(r"(\d{8,})\.zblob\Z")
_ITEMS = re.compile(r"(\d{8,})\.zitm\Z")
_REJECTED = re.compile(r"(\d{8,})\.rejected\Z")


def path(root: str | os.PathLike[str], name: str) -> str:
    """Path of a name within the project directory ``root``."""
    return os.path.join(os.fspath(root), *name.split("/"))


def manifest(number: int) -> str:
    """Manifest log number ``number``."""
    return f"MANIFEST-{number:08d}"


def wal(number: int) -> str:
    """Write-ahead log file number ``number``."""
    return f"{WAL_DIR}/{number:08d}.wal"


def segment(identifier: int) -> str:
    """Segment file of id ``identifier``."""
    return f"{SEGMENT_DIR}/{identifier:08d}.zseg"


def ids(identifier: int) -> str:
    """Chunk of an id dictionary."""
    return f"{IDS_DIR}/{identifier:08d}.zids"


def links(identifier: int) -> str:
    """Which ids were seen together."""
    return f"{IDS_DIR}/{identifier:08d}.zlnk"


def dedup(identifier: int) -> str:
    """Chunk of the keys already seen."""
    return f"{DEDUP_DIR}/{identifier:08d}.zded"


def items(identifier: int) -> str:
    """Records of items."""
    return f"{ITEMS_DIR}/{identifier:08d}.zitm"


def rejected(identifier: int) -> str:
    """Events that were refused, with their reasons."""
    return f"{QUARANTINE_DIR}/{identifier:08d}.rejected"


def people_catalogue(kind: str) -> str:
    """Catalogue of one kind of what is kept about people (``cohorts``, ``tags``)."""
    return f"{PEOPLE_DIR}/{kind}.json"


def people_folder(kind: str) -> str:
    """Folder of the files that the catalogue of a kind names."""
    return f"{PEOPLE_DIR}/{kind}"


def people_blob(kind: str, number: int) -> str:
    """One of these files."""
    return f"{PEOPLE_DIR}/{kind}/{number:08d}.zblob"


def damaged(name: str, offset: int) -> str:
    """Copy of the bytes of file ``name`` that could not be read, from byte ``offset``."""
    return f"{QUARANTINE_DIR}/{name.replace('/', '-')}.at-{offset}{DAMAGED_SUFFIX}"


def temporary(name: str) -> str:
    """Name under which ``name`` is written before it is renamed into place."""
    return name + TMP_SUFFIX


def is_temporary(name: str) -> bool:
    """Whether a file is one that was being written when its writer stopped."""
    return name.endswith(TMP_SUFFIX)


def manifest_number(name: str) -> int | None:
    """Number of a manifest log, from its name in the project directory."""
    return _number(_MANIFEST, name)


def wal_number(name: str) -> int | None:
    """Number of a write-ahead log file, from its name in ``wal/``."""
    return _number(_WAL, name)


def segment_id(name: str) -> int | None:
    """Id of a segment, from its file name in ``segments/``."""
    return _number(_SEGMENT, name)


def ids_id(name: str) -> int | None:
    """Id of an id-dictionary chunk or a file of links, from its file name in ``ids/``."""
    if (number := _number(_LINKS, name)) is not None:
        return number
    return _number(_IDS, name)


def dedup_id(name: str) -> int | None:
    """Id of a chunk of keys, from its file name in ``dedup/``."""
    return _number(_DEDUP, name)


def items_id(name: str) -> int | None:
    """Id of a file of item records, from its name in ``items/``."""
    return _number(_ITEMS, name)


def rejected_number(name: str) -> int | None:
    """Number of a file of rejected events, from its name in ``quarantine/``."""
    return _number(_REJECTED, name)


def people_blob_number(name: str) -> int | None:
    """Number of a file that a catalogue may name, from its name in its folder."""
    return _number(_BLOB, name)


def _number(pattern: re.Pattern[str], name: str) -> int | None:
    match = pattern.match(name.rsplit("/", 1)[-1])
    return int(match[1]) if match else None
