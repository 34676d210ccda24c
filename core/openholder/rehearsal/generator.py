"""Send requests when they are due, in a process of its own: ``python -m openholder.rehearsal.generator``.

The load is an open loop. The time at which each request is due is fixed before the first is sent. It is sent then,
whether or not earlier ones were answered, and its latency counts from then. A server that stalls delays everyone who
arrives meanwhile; a caller that waits for each response would never see that ("coordinated omission").

A due time is taken by what waits longest: a failed request that is sent again, the next page of a list, or the next
reading of the script. So nothing that a server does makes the load larger or longer than planned.

The process has an interpreter and an event loop to itself, tokens that were signed in advance, and nothing to check.
It reads a `Job` from standard input, writes messages to standard output, each a line of JSON, and ends when standard
input does: with the process that started it.
"""

from __future__ import annotations

import asyncio
import gc
import heapq
import os
import ssl
import sys
import threading
import time
import traceback
import uuid
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import aiohttp
import msgspec
from yarl import URL

from openholder.contract.operation import JSON
from openholder.errors import UntrustedJSON
from openholder.fiskil.signer import Signer
from openholder.rehearsal.caller import MAX_CONTENT, open_http, read_body
from openholder.rehearsal.exchange import INTERACTION, Exchange, Request, read_retry_after
from openholder.rehearsal.walking import find_next_query
from openholder.strict_json import parse_json

Outcome = Literal["good", "deferred", "refused", "broken", "failed", "unsent"]
"""
``good``      answered with data
``deferred``  429 or 503 with Retry-After
``refused``   429 or 503 without Retry-After
``broken``    the connection ended before the response did
``failed``    any other response, or none
``unsent``    not sent: too many requests were waiting for a response
"""
MAX_PAGES = 1000
"""Pages of a list that are read, of a server whose links never end."""
GRACE = 30.0
"""Seconds beyond the expected ones after which a generator that has not ended is ended."""
_LONGEST_LINE = 268_435_456
_REPORTED = 100
"""Tokens that are signed between two reports of progress."""


class Read(msgspec.Struct, frozen=True):
    """A list or record to read."""

    method: str
    path: str
    query: str
    body: bytes | None
    paging: str | None
    """The style of paging, as in `Reply`."""
    is_json: bool


class Job(msgspec.Struct):
    """What to send, and when."""

    base_url: str
    audience: str
    issuer: str
    key: bytes
    """The private key that signs the tokens, in PEM."""
    kid: str
    algorithm: str
    lifetime: int
    """Seconds for which the tokens are valid. They are all signed before the first is sent."""
    authority: str
    """File of the certificate authority of the server; empty for those of the system."""
    seconds: float
    """The time limit for each response."""
    reads: list[Read]
    script: list[int]
    """The numbers of the reads, in their order: as many as there are due times."""
    due: list[float]
    """Seconds since the load began, in order."""
    most: int
    """Requests that may wait for a response."""
    waits: tuple[float, ...]
    """Seconds before a failed request is sent again, the first time and later ones."""

    @property
    def deadline(self) -> float:
        """The seconds after which the process has ended, or hangs."""
        return self.lifetime + self.seconds + GRACE


class Sample(msgspec.Struct, array_like=True, frozen=True):
    """The measurement of one request. The content of the response is not kept."""

    read: int
    """The number of the read."""
    number: int
    """The number of the request among all: the same for each time it was sent."""
    times: int
    """How often it had been sent before."""
    outcome: Outcome
    text: str
    """The response in a few words, without any value."""
    due: float
    """Seconds since the load began, like the following."""
    began: float = 0.0
    ended: float = 0.0
    interaction_id: str = ""

    @property
    def seconds(self) -> float:
        """The latency, counted from the time the request was due."""
        return self.ended - self.due


class Signed(msgspec.Struct, tag=True):
    """So many tokens are signed."""

    count: int


class Sent(msgspec.Struct, tag=True):
    """So many requests were due, and so many of them wait for a response."""

    count: int
    in_flight: int


class Finished(msgspec.Struct, tag=True):
    """All responses came, or their time is over."""

    samples: list[Sample]
    processor: float
    """The share of one processor that the process took while it sent requests."""


class GeneratorFault(Exception):
    """The generator ended before the load did, or not at all."""


class BrokenConnection(aiohttp.ClientError):
    """The server closed the connection before it answered."""


class Attempt(NamedTuple):
    """A request that is due."""

    read: int
    query: str
    number: int
    times: int = 0
    """How often it was sent before."""
    page: int = 1
    token: str = ""
    """The token that was signed for it in advance; empty if one must be signed."""


async def run_apart(job: Job, on_message: Callable[[Signed | Sent], None]) -> Finished:
    """Run a job in a process of its own, and return what it measured.

    Raises:
        GeneratorFault: The process ended without a result, or did not end.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "openholder.rehearsal.generator"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=_LONGEST_LINE,
        start_new_session=True,  # Ctrl-C reaches it by the end of its standard input
    )
    assert process.stdin and process.stdout
    try:
        async with asyncio.timeout(job.deadline):
            process.stdin.write(msgspec.json.encode(job) + b"\n")
            await process.stdin.drain()
            async for line in process.stdout:
                message = msgspec.json.decode(line, type=Signed | Sent | Finished)
                if isinstance(message, Finished):
                    return message
                on_message(message)
        raise GeneratorFault(f"the generator ended with exit code {await process.wait()}")
    except (TimeoutError, ConnectionError) as exc:
        raise GeneratorFault(f"the generator did not do its work: {type(exc).__name__}") from None
    finally:
        if process.returncode is None:
            process.kill()
        process.stdin.close()
        await process.communicate()  # and leave nothing in the pipe


class OpenLoop:
    """Sends the requests of a job at their times and takes samples."""

    def __init__(self, job: Job, http: aiohttp.ClientSession, say: Callable[[Signed | Sent], None]) -> None:
        self.samples: list[Sample] = []
        self._job, self._http, self._say = job, http, say
        self._signer = Signer.load(job.key, job.kid)
        self._in_flight = self._numbers = 0
        self._start = 0.0
        self._following: list[tuple[float, Attempt]] = []
        """Pages to read and requests to send again, with the time from which each may be sent: a heap."""
        self._tokens: list[str] = []
        """For the readings of the script, the next one last."""

    def sign_tokens(self) -> None:
        """Sign a token for each reading of the script: signing costs more than a fast server needs to answer."""
        for count, number in enumerate(reversed(self._job.script), 1):
            self._tokens.append(self._sign(self._job.reads[number]))
            if count % _REPORTED == 0:
                self._say(Signed(count))

    async def run(self) -> None:
        """Send a request whenever one is due, then wait for all responses."""
        told, self._start = 0.0, time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for count, due in enumerate(self._job.due):
                await asyncio.sleep(max(0.0, due - self._elapsed))
                attempt = self._choose_next()
                if self._in_flight >= self._job.most:
                    self.samples.append(Sample(attempt.read, attempt.number, attempt.times, "unsent", "not sent", due))
                else:
                    self._in_flight += 1
                    group.create_task(self._send(attempt, due))
                if self._elapsed - told >= 1:
                    told = self._elapsed
                    self._say(Sent(count + 1, self._in_flight))

    @property
    def _elapsed(self) -> float:
        return time.perf_counter() - self._start

    def _choose_next(self) -> Attempt:
        """Take what waits longest: a page, a request to send again, or the next reading of the script."""
        if self._following and self._following[0][0] <= self._elapsed:
            return heapq.heappop(self._following)[1]
        number = self._job.script[len(self._job.script) - len(self._tokens)]
        return Attempt(number, self._job.reads[number].query, self._count(), token=self._tokens.pop())

    def _count(self) -> int:
        self._numbers += 1
        return self._numbers

    def _sign(self, read: Read) -> str:
        job = self._job
        return self._signer.sign_token(
            job.issuer, job.audience + read.path, lifetime=job.lifetime, algorithm=job.algorithm
        )

    async def _send(self, attempt: Attempt, due: float) -> None:
        """Send a request, take its sample, and put what follows from the response into the queue."""
        read, interaction_id = self._job.reads[attempt.read], str(uuid.uuid4())
        began = self._elapsed
        outcome, text, content, wait = await self._exchange(read, attempt, interaction_id)
        ended = self._elapsed
        self._in_flight -= 1
        is_good = outcome == "good"
        self.samples.append(
            Sample(attempt.read, attempt.number, attempt.times, outcome, text, due, began, ended, interaction_id)
        )
        if is_good:
            query = find_next_query(read.paging, content, read.query)
            if query and query != attempt.query and attempt.page < MAX_PAGES:
                page = Attempt(attempt.read, query, self._count(), page=attempt.page + 1)
                heapq.heappush(self._following, (ended, page))
        elif wait is not None:
            again = attempt._replace(times=attempt.times + 1, token="")
            heapq.heappush(self._following, (ended + wait, again))

    async def _exchange(
        self, read: Read, attempt: Attempt, interaction_id: str
    ) -> tuple[Outcome, str, dict[str, Any], float | None]:
        """Send a request; return the outcome, its text, the content, and the seconds before it is sent again."""
        headers = {"Authorization": f"Bearer {attempt.token or self._sign(read)}", INTERACTION: interaction_id}
        if read.body is not None:
            headers["Content-Type"] = JSON
        wait = self._job.waits[attempt.times] if attempt.times < len(self._job.waits) else None
        try:
            url = URL(self._job.base_url + read.path + (attempt.query and f"?{attempt.query}"), encoded=True)
            async with self._http.request(
                read.method, url, data=read.body, headers=headers, allow_redirects=False
            ) as response:
                body = await read_body(response.content)
        except TimeoutError:
            return "failed", "no response in time", {}, wait
        except aiohttp.ClientConnectorError as exc:
            return "failed", f"no connection: {type(exc.os_error).__name__}", {}, wait
        except (BrokenConnection, aiohttp.ClientPayloadError, aiohttp.ClientConnectionError):
            return "broken", "the connection ended before the response did", {}, wait
        except (aiohttp.ClientError, OSError, ValueError) as exc:
            return "failed", f"no response: {type(exc).__name__}", {}, None
        if body is None:
            return "failed", f"a response of more than {MAX_CONTENT >> 20} MiB", {}, None
        if response.status == 200:
            return _read_content(body, read.is_json)
        outcome, text = _classify(read, response, body)
        named = read_retry_after(response.headers)
        if wait is not None and named is not None:
            wait = max(wait, named)
        return outcome, text, {}, wait if response.status == 429 or response.status >= 500 else None


class _Ends(msgspec.Struct):
    """What says where the next page is. All else is skipped, and not judged: that was done before the load."""

    links: Any = None
    page: Any = None


def _read_content(body: bytes, is_json: bool) -> tuple[Outcome, str, dict[str, Any], None]:
    """Return the result of a response with status 200."""
    if not is_json:
        return "good", "200 with data", {}, None
    try:
        ends = msgspec.json.decode(body, type=_Ends)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return "failed", "200 that is no JSON object", {}, None
    return "good", "200 with data", {"links": ends.links, "page": ends.page}, None


def _classify(read: Read, response: aiohttp.ClientResponse, body: bytes) -> tuple[Outcome, str]:
    """Return the outcome of a response without data, and its text."""
    try:
        content = parse_json(body) if response.content_type.endswith("json") else None
    except UntrustedJSON:
        content = None
    request = Request(method=read.method, path=read.path)
    text = Exchange(request=request, status=response.status, json=content).status_text
    if response.status not in (429, 503):
        return "failed", text
    return "deferred" if "Retry-After" in response.headers else "refused", text


async def _end_with_connection(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Keep aiohttp from sending a request again by itself: its token may be used up."""
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
        raise BrokenConnection from None


async def _run(job: Job) -> Finished:
    trust = ssl.create_default_context(cafile=job.authority) if job.authority else True
    async with open_http(seconds=job.seconds, trust=trust, middlewares=(_end_with_connection,)) as http:
        loop = OpenLoop(job, http, _say)
        loop.sign_tokens()
        gc.collect()
        gc.freeze()  # or the collector would look at every token again and again
        processor, began = time.process_time(), time.perf_counter()
        await loop.run()
        return Finished(loop.samples, (time.process_time() - processor) / (time.perf_counter() - began))


def _say(message: Signed | Sent | Finished) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(message) + b"\n")
    sys.stdout.buffer.flush()


def _end_with_parent() -> None:
    """End this process as soon as standard input ends. Nobody is left to tell anything."""
    while os.read(0, 1024):
        pass
    os._exit(1)


def main() -> int:
    """Run the job that is the first line of standard input."""
    job = msgspec.json.decode(sys.stdin.buffer.readline(), type=Job)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        _say(asyncio.run(_run(job)))
    except Exception as exc:
        frames = "".join(traceback.format_tb(exc.__traceback__))  # not the message, which may quote a value
        sys.stderr.write(f"a fault of the load generator: {type(exc).__name__}\n{frames}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
