"""The one writer of a project: WAL, memtables, flush, compaction, and the order in which they
become durable.

A file an idea: ``state`` (what the parts share, and its lock), ``intake`` (a batch: decode → dedup
→ WAL record → bind → memtable → sync → ack), ``flusher`` (freeze point; segments and all that
belongs to them → one manifest edit → WAL trimmed), ``loader`` (bulk tables, in turns), ``merger``
(compaction), ``quarantining`` (what was rejected, and taking it out), ``writer`` (wiring, the
maintenance thread, the end). Lock order: ``maintenance`` → ``lock``; whoever sorts rows for a query
holds neither.
"""

from zuji.engine.writer.state import KINDS, AppendResult
from zuji.engine.writer.writer import Writer

__all__ = ["KINDS", "AppendResult", "Writer"]
