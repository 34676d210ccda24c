"""Spans of OpenTelemetry for requests, the gate and queries: imported only if ``tracing`` is set.

The SDK and its exporters configure themselves, from the variables ``OTEL_*``. Spans have the pattern of the route, the
status, and names of sources and collections: no ids, no paths, no text of an error.

The first step of a request runs outside any task, in a context that all requests of a connection share, and the rest in
a task with a copy of it. So a context is set, and never reset with a token: each request sets its own when it begins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import entry_points
from os import environ
from typing import Any

from opentelemetry.context import Context, attach, get_current
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import (
    Span,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    format_trace_id,
    get_tracer_provider,
    set_span_in_context,
    set_tracer_provider,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from openholder._version import __version__
from openholder.errors import ConfigurationError, Mistake
from openholder.gate import Gate, TokenFacts
from openholder.query import Page, Query
from openholder.serving.delegate import RequestDelegate
from openholder.serving.journal import Entry, Journal
from openholder.sources.registry import SourceRegistry

EXPORTERS = "opentelemetry_traces_exporter"
"""The entry points of OpenTelemetry's exporters, which ``OTEL_TRACES_EXPORTER`` names."""


def start_tracing() -> Callable[[], None]:
    """Start OpenTelemetry for this process, unless somebody has done so.

    Returns:
        What exports the last spans; it may block.

    Raises:
        ConfigurationError: ``OTEL_TRACES_EXPORTER`` names an exporter that is not installed.
    """
    if isinstance(get_tracer_provider(), TracerProvider):
        return lambda: None
    provider, exporters = TracerProvider(), {entry.name: entry for entry in entry_points(group=EXPORTERS)}
    for name in environ.get("OTEL_TRACES_EXPORTER", "otlp").split(","):
        if name.strip() == "none":
            continue
        entry = exporters.get({"otlp": "otlp_proto_http"}.get(name.strip(), name.strip()))
        if entry is None:
            allowed = ", ".join(sorted({"none", "otlp", *exporters}))
            message = f"names an exporter that is not installed; allowed are {allowed}"
            raise ConfigurationError([Mistake("the environment", "OTEL_TRACES_EXPORTER", message)])
        provider.add_span_processor(BatchSpanProcessor(entry.load()()))
    set_tracer_provider(provider)
    return provider.shutdown


def get_tracer() -> Tracer:
    """Return the tracer of this server."""
    return get_tracer_provider().get_tracer("openholder", __version__)


@contextmanager
def follow(name: str, **attributes: str) -> Iterator[None]:
    """Make a span for the duration of the block, below that of the request."""
    before = get_current()
    span = get_tracer().start_span(name, attributes=attributes)
    attach(set_span_in_context(span))
    try:
        yield
    except BaseException:
        span.set_status(
            Status(StatusCode.ERROR)
        )  # the text of an exception may have data: the log has what may be said
        raise
    finally:
        span.end()
        attach(before)


class TracedDelegate(RequestDelegate):
    """A request that begins a span."""

    def finish(self) -> None:
        """Begin the span, and answer the request, unless that was refused and recorded before it was complete.

        Of the caller's headers only ``traceparent`` is read: ``tracestate`` and ``baggage`` may have any text, which
        would be passed on to other servers.
        """
        entry = self._entry
        if not entry.status:
            found = self._request.headers.get("traceparent")
            parent = TraceContextTextMapPropagator().extract({"traceparent": found} if found else {}, Context())
            entry.span = get_tracer().start_span(
                f"{entry.method} {entry.route}",
                context=parent,
                kind=SpanKind.SERVER,
                attributes={"http.request.method": entry.method, "http.route": entry.route},
            )
            attach(set_span_in_context(entry.span))
            entry.trace = format_trace_id(entry.span.get_span_context().trace_id)
        super().finish()


class TracedJournal(Journal):
    """A journal that ends the span of each request."""

    def record(self, entry: Entry) -> None:
        """Record one answered request, and end its span with the status of the answer."""
        super().record(entry)
        if isinstance(entry.span, Span):
            entry.span.set_attribute("http.response.status_code", entry.status)
            if entry.status >= 500:
                entry.span.set_status(Status(StatusCode.ERROR))
            entry.span.end()


class TracedGate(Gate):
    """A gate with a span for each token."""

    async def admit(self, authorization: Sequence[str], path: str, facts: TokenFacts) -> None:
        """Admit a request and use up its token."""
        with follow("gate"):
            await super().admit(authorization, path, facts)


class TracedSources(SourceRegistry):
    """Sources with a span for each query."""

    async def fetch(self, query: Query) -> Page:
        """Query the source that serves the collection."""
        source = self.find_source(query.collection)
        named: dict[str, Any] = {"openholder.source": source.name} if source else {}
        with follow(f"query {query.collection}", **{"openholder.collection": query.collection}, **named):
            return await super().fetch(query)
