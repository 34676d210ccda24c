"""openholder: the Resource Server that a data holder runs for the Fiskil platform.

What is exported here is the public interface for authors of plugins, and all of it. ``docs/plugins.md`` shows it in
use. Not affiliated with Fiskil.
"""

from openholder.contract.collections import Collection, find_collection
from openholder.contract.members import list_members
from openholder.errors import (
    NotFound,
    SharingRefused,
    SourceError,
    SourceFault,
    SourceUnavailable,
    UntrustedJSON,
    describe,
    name_found,
)
from openholder.host_settings import HostSettings, get_host_settings
from openholder.outbound import Outbound, describe_failure, describe_response
from openholder.pseudonyms import make_pseudonym
from openholder.query import (
    PLACE,
    Filter,
    Order,
    Page,
    Query,
    Record,
    Row,
    instant,
    microseconds,
    number,
    select,
    truth,
)
from openholder.setting_types import ExistingFile, ExistingFolder, NewFile, Secret, SecureURL, is_loopback, split_url
from openholder.sources.hookspecs import API_VERSION, FinishedRequest, hookimpl
from openholder.strict_json import parse_json

__all__ = [
    "API_VERSION",
    "PLACE",
    "Collection",
    "ExistingFile",
    "ExistingFolder",
    "Filter",
    "FinishedRequest",
    "HostSettings",
    "NewFile",
    "NotFound",
    "Order",
    "Outbound",
    "Page",
    "Query",
    "Record",
    "Row",
    "Secret",
    "SecureURL",
    "SharingRefused",
    "SourceError",
    "SourceFault",
    "SourceUnavailable",
    "UntrustedJSON",
    "describe",
    "describe_failure",
    "describe_response",
    "find_collection",
    "get_host_settings",
    "hookimpl",
    "instant",
    "is_loopback",
    "list_members",
    "make_pseudonym",
    "microseconds",
    "name_found",
    "number",
    "parse_json",
    "select",
    "split_url",
    "truth",
]
