"""How lines get from the server into its log: in one form, in order, none lost, and without waiting for a reader."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import logging
import os
import re
import subprocess
import sys
import threading

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.commands import logging_as_it_was
from openholder.server import log_lines, logs
from openholder.server.log_lines import BATCH, LineWriter
from openholder.server.logs import batch_lines, configure_logging, count_lost_lines, encode_line, set_level
from openholder.settings import Log


class Pipe:
    """A pipe to write lines to, and what has arrived at its other end."""

    def __init__(self, *, blocking: bool = True) -> None:
        self.reader, descriptor = os.pipe()
        os.set_blocking(self.reader, False)
        os.set_blocking(descriptor, blocking)
        self.stream = open(descriptor, "w")  # noqa: SIM115

    def read(self) -> list[int]:
        """The numbers of the lines that have arrived, all of them whole."""
        received = b""
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self.reader, 1_000_000):
                received += data
        assert not received or received.endswith(b"\n")
        return [int(line.split()[0]) for line in received.splitlines()]

    def close(self) -> None:
        with contextlib.suppress(OSError):
            os.close(self.reader)
        with contextlib.suppress(OSError):
            self.stream.close()


@pytest.fixture
def pipe():
    pipe = Pipe()
    yield pipe
    pipe.close()


def number(value: int, size: int = 20) -> bytes:
    return f"{value} ".encode().ljust(size, b"x") + b"\n"


@contextlib.contextmanager
def log_to(stream: io.TextIOBase | None, **settings: str):
    with logging_as_it_was():
        configure_logging(Log(format="json", **settings), stream)
        yield


def test_outside_a_batch_each_line_is_written_at_once(pipe):
    writer = LineWriter(pipe.stream)
    for value in range(3):
        writer.write(number(value))
        assert pipe.read() == [value]


@pytest.mark.gen_test
async def test_lines_of_a_batch_are_written_in_order_and_soon(pipe):
    writer = LineWriter(pipe.stream)
    with writer.batch():
        for value in range(3):
            writer.write(number(value))
        assert pipe.read() == []
        await asyncio.sleep(2 * BATCH)
        assert pipe.read() == [0, 1, 2]
        writer.write(number(3))
        writer.write_now(number(4))
        assert pipe.read() == [3, 4]
        writer.write(number(5))
    assert pipe.read() == [5]


@pytest.mark.gen_test
async def test_lines_of_other_threads_are_written_with_the_batch(pipe):
    writer = LineWriter(pipe.stream)
    with writer.batch():
        await asyncio.to_thread(writer.write, number(1))
        await asyncio.sleep(2 * BATCH)
        assert pipe.read() == [1]
        writer.write(number(2))
        await asyncio.to_thread(writer.write_now, number(3))
        assert pipe.read() == [2, 3]


@pytest.mark.parametrize("blocking", [True, False])
@pytest.mark.parametrize("size", [20, 10_000])
@pytest.mark.gen_test
async def test_a_reader_that_stops_reading_holds_nothing_up(blocking, size):
    pipe, sent = Pipe(blocking=blocking), 300_000 // size
    writer = LineWriter(pipe.stream)
    with writer.batch():
        for value in range(sent):
            writer.write(number(value, size))
        writer.write_now(number(sent, size))
        received = b""
        while received.count(b"\n") <= sent:
            await asyncio.sleep(BATCH / 10)
            with contextlib.suppress(BlockingIOError):
                received += os.read(pipe.reader, 1_000_000)
    assert [int(line.split()[0]) for line in received.splitlines()] == list(range(sent + 1))
    assert writer.lost == 0
    pipe.close()


@pytest.mark.gen_test
async def test_what_does_not_fit_is_lost_counted_and_told(pipe, monkeypatch):
    monkeypatch.setattr(log_lines, "MAX_WAITING", 50_000)
    reported = []

    def report(count: int) -> None:
        reported.append(count)
        writer.write_now(number(-1))

    writer = LineWriter(pipe.stream, report)
    with writer.batch():
        for value in range(200):
            writer.write(number(value, 999))
        assert writer.lost == 150
        await asyncio.sleep(2 * BATCH)
        arrived = pipe.read()
        writer.write_now(number(200))
        arrived += pipe.read()
    assert arrived == [*range(50), -1, 200]
    assert reported == [150]


@pytest.mark.parametrize("end", ["reader", "stream"])
@pytest.mark.gen_test
async def test_a_reader_that_is_gone_disturbs_nobody(pipe, end, monkeypatch):
    monkeypatch.setattr(log_lines, "MAX_WAITING", 1000)
    writer = LineWriter(pipe.stream)
    os.close(pipe.reader if end == "reader" else pipe.stream.fileno())
    with writer.batch():
        for value in range(100):
            writer.write_now(number(value))
        await asyncio.sleep(2 * BATCH)
    assert writer.lost == 100 - 1000 // len(number(0))


def test_a_full_disk_loses_nothing_once_there_is_space():
    with open("/dev/full", "w") as full:
        writer = LineWriter(full)
        writer.write(number(1))
        pipe = Pipe()
        os.dup2(pipe.stream.fileno(), full.fileno())
        writer.write(number(2))
    assert pipe.read() == [1, 2]
    pipe.close()


def test_without_a_standard_output_nothing_is_logged(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    with log_to(None):
        logging.getLogger("openholder").error("a fault")
    assert count_lost_lines() == 0


# -- the form of a line -------------------------------------------------------------------------------------------

SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=5)
VALUES = SCALARS | st.lists(SCALARS, max_size=2) | st.dictionaries(st.text(max_size=5), SCALARS, max_size=2)


@settings(max_examples=50)
@given(st.dictionaries(st.text(max_size=5), VALUES, max_size=3))
def test_a_line_is_what_json_dumps_would_write(event):
    line = encode_line(dict(event))
    assert json.loads(line) == json.loads(json.dumps(event))
    assert re.fullmatch(rb"[ -~]*\n", line)
    if all(character.isprintable() for character in str(event)):
        assert line.decode() == json.dumps(event) + "\n"


def test_what_is_no_json_is_written_as_its_repr():
    assert encode_line({"a": ValueError, "b": 1.5}) == b'{"a": "<class \'ValueError\'>", "b": 1.5}\n'


def test_structlog_and_logging_write_the_same_form():
    stream = io.StringIO()
    with log_to(stream):
        structlog.get_logger("openholder").info("one", member="value")
        logging.getLogger("openholder.gate").info("two of %d", 3)
    one, two = map(json.loads, stream.getvalue().splitlines())
    stamp = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
    assert stamp.fullmatch(one.pop("timestamp"))
    assert stamp.fullmatch(two.pop("timestamp"))
    assert list(one.items()) == [("member", "value"), ("event", "one"), ("level", "info"), ("logger", "openholder")]
    assert two == {"event": "two of 3", "level": "info", "logger": "openholder.gate"}
    assert '"event": "one"' in stream.getvalue()


def test_others_log_from_warning_on():
    stream = io.StringIO()
    with log_to(stream, level="debug"):
        for logger in (logging.getLogger("tornado.general"), structlog.get_logger("plugin"), structlog.get_logger()):
            logger.info("a parameter")
            logger.warning("trouble")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["trouble"] * 3


def test_a_library_cannot_flood_the_log(monkeypatch):
    monkeypatch.setattr(logs, "LIBRARY_LINES", (0.0, 3))
    stream = io.StringIO()
    with log_to(stream):
        for _ in range(10):
            logging.getLogger("tornado.general").warning("SSL Error")
        logging.getLogger("openholder").info("going on")
    told = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in told] == ["SSL Error"] * 3 + ["going on"]
    assert told[-1]["unlogged_before"] == 7


@pytest.mark.parametrize("make", [logging.getLogger, structlog.get_logger])
@pytest.mark.parametrize("form", ["json", "console"])
def test_of_an_exception_only_the_type_is_logged(make, form):
    stream = io.StringIO()
    with logging_as_it_was():
        configure_logging(Log(format=form), stream)
        try:
            raise ValueError("SECRET")
        except ValueError as exc:
            make("openholder").exception("failed")
            make("openholder").error("failed", exc_info=exc)
    assert stream.getvalue().count("ValueError") == 2
    assert "SECRET" not in stream.getvalue()
    assert stream.getvalue().count("\n") == 2


def test_the_level_can_be_changed():
    stream = io.StringIO()
    with log_to(stream, level="error"):
        for level in ("error", "info", "warning"):
            set_level(level)
            for logger in (structlog.get_logger("openholder"), logging.getLogger("openholder")):
                logger.info(f"at {level}")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["at info"] * 2


# -- how a process ends -------------------------------------------------------------------------------------------

PROCESS = """
import asyncio, os, sys, structlog
from openholder.server.logs import batch_lines, configure_logging
from openholder.settings import Log

async def main():
    log = structlog.get_logger("openholder")
    with batch_lines():
        log.info("before")
        child = os.fork()
        if not child:
            log.info("of the child")
            os._exit(0)
        os.waitpid(child, 0)
        log.info("after")
        asyncio.get_running_loop().call_soon(sys.exit, 7)
        await asyncio.sleep(30)

configure_logging(Log(format="json"))
asyncio.run(main())
"""


@pytest.mark.slow
@pytest.mark.subprocess
def test_no_line_is_lost_at_exit_or_written_twice_after_a_fork():
    ended = subprocess.run([sys.executable, "-c", PROCESS], capture_output=True, text=True, timeout=30)
    told = [json.loads(line)["event"] for line in ended.stdout.splitlines()]
    assert (told, ended.returncode) == (["of the child", "before", "after"], 7)


@pytest.mark.gen_test
async def test_threads_and_the_loop_log_at_the_same_time(pipe):
    with log_to(pipe.stream), batch_lines():
        names = [f"openholder.{number}" for number in range(4)]
        threads = [threading.Thread(target=_log_numbers, args=(name,)) for name in names]
        for thread in threads:
            thread.start()
        await asyncio.to_thread(lambda: [thread.join() for thread in threads])
    lines = [json.loads(line) for line in os.read(pipe.reader, 1_000_000).splitlines()]
    for name in names:
        assert [line["event"] for line in lines if line["logger"] == name] == [str(value) for value in range(50)]


def _log_numbers(name: str) -> None:
    for value in range(50):
        log = logging.getLogger(name) if value % 2 else structlog.get_logger(name)
        (log.warning if value % 5 == 0 else log.info)(str(value))
