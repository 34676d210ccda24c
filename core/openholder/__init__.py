"""openholder: the Resource Server that a data holder runs for the Fiskil platform.

What is exported here is the public interface for authors of plugins, and all of it. ``docs/plugins.md`` shows it in
use. Not affiliated with Fiskil.
"""

from openholder.errors import (
    NotFound,
    SharingRefused,
    SourceError,
    SourceFault,
    SourceUnavailable,
    UntrustedJSON,
    describe,
)
from openholder.query import Filter, Order, Page, Query, Record, Row, instant, microseconds, number, select, truth
from openholder.setting_types import ExistingFile, ExistingFolder, NewFile, Secret, is_loopback, split_url
from openholder.sources.hookspecs import API_VERSION, FinishedRequest, hookimpl
from openholder.strict_json import parse_json

__all__ = [
    "API_VERSION",
    "ExistingFile",
    "ExistingFolder",
    "Filter",
    "FinishedRequest",
    "NewFile",
    "NotFound",
    "Order",
    "Page",
    "Query",
    "Record",
    "Row",
    "Secret",
    "SharingRefused",
    "SourceError",
    "SourceFault",
    "SourceUnavailable",
    "UntrustedJSON",
    "describe",
    "hookimpl",
    "instant",
    "is_loopback",
    "microseconds",
    "number",
    "parse_json",
    "select",
    "split_url",
    "truth",
]
