"""Binding: a decoded batch (local names, local strings) becomes rows of the project.

``binder`` binds regular batches natively (``bind.h``) and gives all others to ``by_column``;
``interned`` holds the tables of a decoder and what their codes mean; ``chunks`` makes what is
stored. Deterministic: the same batches in the same order on the same state give the same rows,
which is what recovery relies on.
"""

from zuji.engine.ingest.binder import Binder
from zuji.engine.ingest.chunks import Taken
from zuji.engine.ingest.interned import Interned

__all__ = ["Binder", "Interned", "Taken"]
