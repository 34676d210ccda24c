"""Measure what HTTP alone costs: CPU time a request of both transports, with a delegate that only answers.

Run ``python bench/http_floor.py``; ``openholder[fast]`` must be installed. The requests are as large as Fiskil's, on 16
connections that stay open. The transports take turns, so that the ratio holds although a machine's speed changes.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from driver import drive
from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    HTTPServerConnectionDelegate,
    RequestStartLine,
    ResponseStartLine,
)

from openholder.edge.headers import JSON_UTF8, AnswerHeaders
from openholder.edge.heads import BadRequest
from openholder.edge.server import Limits, Server
from openholder.llhttp.server import LLHTTPServer
from openholder.server.connections import bind, choose_loop
from openholder.server.tornado_http import TornadoServer

REQUEST = (
    b"GET /v1/banking/customer/cust-1001/accounts/acc-2001/balance HTTP/1.1\r\n"
    b"Host: data.examplebank.com.au\r\n"
    b"User-Agent: Fiskil\r\n"
    b"Accept: application/json\r\n"
    b"x-fapi-interaction-id: 7e4f0e0a-98c6-4e5b-9c4b-0b0b0b0b0b0b\r\n"
    b"Authorization: Bearer " + b"x" * 700 + b"\r\n\r\n"
)
BODY = b"x" * 250
START_LINE = ResponseStartLine("HTTP/1.1", 200, "OK")
LIMITS = Limits(connections=100, per_address=100, first_head=10, idle=75, body=5)
INTERACTION_ID = "7e4f0e0a-98c6-4e5b-9c4b-0b0b0b0b0b0b"


class Answer(HTTPMessageDelegate):
    """Looks at one header, and answers."""

    def __init__(self, connection: HTTPConnection) -> None:
        self._connection = connection

    def headers_received(self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders) -> None:
        self._authorization = headers.get_list("Authorization")

    def finish(self) -> None:
        self._connection.write_headers(START_LINE, AnswerHeaders(JSON_UTF8, INTERACTION_ID, len(BODY)), BODY)
        self._connection.finish()


class Application(HTTPServerConnectionDelegate):
    """Answers every request."""

    def start_request(self, server_conn: object, request_conn: HTTPConnection) -> HTTPMessageDelegate:
        return Answer(request_conn)


def _refuse(refusal: BadRequest, ip: str) -> bytes:
    raise RuntimeError(f"a good request was refused: {refusal}")


async def _serve(make: type[Server], requests: int, driver: ProcessPoolExecutor) -> float:
    """Answer the requests, and return the CPU microseconds of one."""
    server, sockets = make(Application(), _refuse, lambda *_: None, LIMITS), bind("127.0.0.1", 0)
    server.add_sockets(sockets)
    loop, port = asyncio.get_running_loop(), sockets[0].getsockname()[1]
    await loop.run_in_executor(driver, drive, port, [REQUEST] * 200, 16)
    started = time.process_time()
    statuses = await loop.run_in_executor(driver, drive, port, [REQUEST] * requests, 16)
    used = time.process_time() - started
    server.stop()
    await server.close_all_connections()
    if statuses != {"200": requests}:
        raise RuntimeError(f"answers other than 200: {statuses}")
    return used / requests * 1e6


def main() -> None:
    """Print a line for each transport."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    makers: dict[str, type[Server]] = {"llhttp": LLHTTPServer, "tornado": TornadoServer}
    best: dict[str, float] = {}
    with ProcessPoolExecutor(1) as driver:
        for _ in range(options.rounds):
            for name, make in makers.items():
                with asyncio.Runner(loop_factory=choose_loop(name)) as runner:
                    us = runner.run(_serve(make, options.requests, driver))
                best[name] = min(us, best.get(name, us))
    for name, us in best.items():
        sys.stdout.write(f"{name:>8}: {us:6.1f} us of CPU a request\n")
    sys.stdout.write(f"Tornado's own takes {best['tornado'] / best['llhttp']:.1f} times as much.\n")


if __name__ == "__main__":
    main()
