"""The client with a constant rate blames a server for what should have been sent while it stood."""

import asyncio
import math
import threading

import pytest

from bench.open_loop import compiled, run

REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    return compiled(tmp_path_factory.mktemp("client"))


@pytest.fixture
def measured(client, tmp_path):
    def measure(
        rate,
        seconds,
        connections,
        *,
        stall=0.0,
        status=b"200 OK",
        body=b"ok",
        request=REQUEST,
        ends=0,
    ):
        state = {"stood": not stall, "answered": 0, "seen": []}
        (tmp_path / "1.raw").write_bytes(request)

        async def serve(reader, writer):
            try:
                while head := await reader.readuntil(b"\r\n\r\n"):
                    if b"Length: " in head:
                        size = int(head.partition(b"Length: ")[2].split()[0])
                        state["seen"].append(await reader.readexactly(size))
                    if not state["stood"]:
                        state["stood"] = True
                        await asyncio.sleep(stall)
                    state["answered"] += 1
                    if state["answered"] == ends:
                        writer.close()
                        return
                    writer.write(b"HTTP/1.1 " + status + b"\r\ncontent-Length:%d\r\n" % len(body))
                    await asyncio.sleep(0)
                    writer.write(b"\r\n" + body[:1])
                    writer.write(body[1:])
            except (asyncio.IncompleteReadError, ConnectionError):
                writer.close()

        loop, ready = asyncio.new_event_loop(), threading.Event()

        async def main():
            server = await asyncio.start_server(serve, "127.0.0.1", 0)
            state["port"] = server.sockets[0].getsockname()[1]
            state["end"] = loop.create_future()
            ready.set()
            await state["end"]
            server.close()

        thread = threading.Thread(target=loop.run_until_complete, args=(main(),))
        thread.start()
        assert ready.wait(10)
        try:
            address = f"127.0.0.1:{state['port']}"
            found = run(client, [tmp_path / "1.raw"], address, rate, seconds, connections)
        finally:
            loop.call_soon_threadsafe(state["end"].set_result, None)
            thread.join()
            loop.close()
        return found, state["seen"]

    return measure


def test_everything_is_sent_and_answered(measured):
    found, _ = measured(200, 0.5, 4)
    assert (found["sent"], found["good"], found["bad"], found["unanswered"]) == (100, 100, 0, 0)
    assert 0 < found["p50_ms"] <= found["p99_ms"] <= found["p100_ms"]
    assert 0 <= found["own_p99_ms"] <= found["p100_ms"] * 1.01


def test_large_requests_and_answers_go_through_whole(measured):
    body = b"x" * 3_000_000
    request = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    found, seen = measured(10, 0.5, 2, request=request, body=b"y" * 500_000)
    assert found["good"] == 5
    assert seen == [body] * 5


def test_answers_that_are_errors_are_told_apart(measured):
    found, _ = measured(100, 0.3, 2, status=b"503 Busy")
    assert (found["good"], found["bad"]) == (0, 30)


def test_connections_that_end_leave_requests_unanswered(measured):
    found, _ = measured(100, 0.3, 1, ends=11)
    assert (found["good"], found["unanswered"]) == (10, 20)


def test_a_pause_counts_for_all_that_was_due_in_it(measured):
    found, _ = measured(100, 1.0, 1, stall=0.5)
    assert found["good"] == 100
    assert found["p100_ms"] >= 500
    assert found["p90_ms"] >= 300  # not one request but all of half a second waited
    assert found["own_p99_ms"] < found["p90_ms"]  # it is not the client that was late


def test_percentiles_are_of_what_was_answered(measured):
    found, _ = measured(50, 0.02, 1, stall=0.1)
    assert found["good"] == 1
    assert math.isclose(found["p50_ms"], found["p100_ms"])
    assert found["p50_ms"] >= 100
