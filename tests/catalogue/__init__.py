"""The catalogue of hostile and broken requests: ATTACKS.md says what is tried, and these modules try it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from catalogue import audience, claims, data, faults, http, ids, keys, logs, replay, sources, token
from catalogue.rows import Row

MODULES = (token, claims, audience, replay, keys, http, ids, data, sources, faults, logs)
ROWS: dict[str, Row] = {row.id: row for module in MODULES for row in module.ROWS}


class Attack(NamedTuple):
    """A line of ATTACKS.md."""

    id: str
    attack: str
    expected: str
    source: str


def read_attacks() -> list[Attack]:
    """Read the tables of ATTACKS.md."""
    text = Path(__file__).with_name("ATTACKS.md").read_text(encoding="utf-8")
    lines = re.findall(r"^\| ([A-Z]\d\d) \| (.+) \|$", text, re.MULTILINE)
    return [Attack(number, *cells.split(" | ")) for number, cells in lines]
