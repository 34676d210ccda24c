"""The catalogue of hostile and broken requests: a row for each attack, by its id, and how it is shown to fail."""

from __future__ import annotations

from catalogue import audience, claims, data, faults, http, ids, keys, logs, replay, sources, token
from catalogue.rows import Row

ROWS: dict[str, Row] = {
    row.id: row
    for module in (token, claims, audience, replay, keys, http, ids, data, sources, faults, logs)
    for row in module.ROWS
}
