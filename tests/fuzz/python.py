"""One Python target under atheris: ``python -m tests.fuzz.python NAME [flags of libFuzzer]``."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

from tests.fuzz import corpora
from tests.fuzz.catalogue import TARGETS


def main() -> None:
    """Never returns: libFuzzer ends the process."""
    try:
        import atheris
    except ImportError:
        sys.exit("fuzz: atheris not found. Install it: pip install atheris")
    name = sys.argv[1]
    (target,) = (one for one in TARGETS if one.name == name)
    with atheris.instrument_imports(include=["zuji.server", "zuji.engine", "json"]):
        module = import_module(target.module)
    folder = Path(sys.argv[-1])
    if folder.is_dir() and "-merge=1" not in sys.argv:
        corpora.spread((d[: target.max_len] for d in getattr(module, f"seeds_{name}")()), folder)
    atheris.Setup([sys.argv[0], *sys.argv[2:]], getattr(module, name))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
