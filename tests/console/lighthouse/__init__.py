"""Lighthouse on the console's pages: ``make lighthouse``.

A server with the bank's data is started, Lighthouse (npm, in this folder; nothing is shipped) opens
each main page as a signed-in administrator, in a browser that never saw the console. Forms:
``desktop`` is Lighthouse's own (40 ms, 10 Mbit/s), ``wifi`` a phone's screen and a processor four
times slower on the same network, as on a branch's intranet, ``mobile`` Lighthouse's own phone
(150 ms, 1.6 Mbit/s: a telephone network, which the console is not made for; told, not checked).
Performance depends on the machine: measure on a quiet one.
"""
