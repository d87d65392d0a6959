"""The oracle: a second engine in plain Python, slow and by definition, that shares no code with the
first.

It keeps every event as a Python object and answers event, funnel and retention queries by brute
force: chains are enumerated, not folded; buckets are found by asking the clock on the wall. Where
the engine and the oracle differ, one of them (or the text that both were written from) is wrong.
Use :class:`tests.oracle.project.OracleProject`; :mod:`tests.oracle.generate` makes random projects
and queries. Only for small projects: a funnel is exponential in a user's matching rows.
"""
