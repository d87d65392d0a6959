"""The client with a constant rate blames a server for what should have been sent while it stood."""

import asyncio
import math

from bench.open_loop import Load

REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def run(rate, seconds, connections, *, stall=0.0, status=b"200 OK"):
    async def main():
        state = {"stood": not stall}

        async def serve(reader, writer):
            try:
                while await reader.readuntil(b"\r\n\r\n"):
                    if not state["stood"]:
                        state["stood"] = True
                        await asyncio.sleep(stall)
                    head = b"HTTP/1.1 " + status + b"\r\nContent-Length: 2\r\n\r\n"
                    writer.write(head + b"o")
                    writer.write(b"k")
            except asyncio.IncompleteReadError:
                writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        load = Load([REQUEST], rate, seconds)
        port = server.sockets[0].getsockname()[1]
        try:
            return await load.run("127.0.0.1", port, connections)
        finally:
            server.close()

    return asyncio.run(main())


def test_everything_is_sent_and_answered():
    found = run(200, 0.5, 4)
    assert (found["sent"], found["good"], found["bad"], found["unanswered"]) == (100, 100, 0, 0)
    assert 0 < found["p50_ms"] <= found["p99_ms"] <= found["p100_ms"]


def test_answers_that_are_errors_are_told_apart():
    found = run(100, 0.3, 2, status=b"503 Busy")
    assert (found["good"], found["bad"]) == (0, 30)


def test_a_pause_counts_for_all_that_was_due_in_it():
    found = run(100, 1.0, 1, stall=0.5)
    assert found["good"] == 100
    assert found["p100_ms"] >= 500
    assert found["p90_ms"] >= 300  # not one request but all of half a second waited


def test_percentiles_are_within_their_width():
    load = Load([REQUEST], 1, 1)
    for ms in range(1, 1001):
        load.answered(_Nobody(), ms / 1000, good=True)
    for percent in (50, 99, 99.9, 100):
        assert math.isclose(load.percentile(percent), 10 * percent, rel_tol=0.011)


class _Nobody:
    pass
