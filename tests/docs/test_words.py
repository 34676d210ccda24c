"""The page on configuration says of each word what it does, by an example that is run here."""

from __future__ import annotations

import re
import tomllib
from decimal import Decimal
from pathlib import Path

import pytest

from openholder.mapping import MappingSettings, MemberRule, RowMapping

PAGE = (Path(__file__).parents[2] / "docs/configuration.md").read_text(encoding="utf-8")
(CHAPTER,) = re.findall(r"^## Words that map columns and values\n(.*?)^## ", PAGE, re.DOTALL | re.MULTILINE)
EXAMPLES = re.findall(r"^\| `(\w+)` \| `(.*?)` \| (?:`(.*?)`)?(?:, `(.*?)`)? ?\| `?(.*?)`? \|$", CHAPTER, re.MULTILINE)
MEMBERS = {"time_zone": "postingDateTime", "decimal": "amount"}
ZONE = 'time_zone = "Australia/Sydney"\n'


@pytest.mark.parametrize(("word", "example", "found", "sign", "becomes"), EXAMPLES, ids=[word for word, *_ in EXAMPLES])
def test_each_word_does_what_its_example_says(word, example, found, sign, becomes):
    parsed = tomllib.loads(example)
    if word in MappingSettings.model_fields:
        settings, member, columns = MappingSettings(**parsed), MEMBERS.get(word, "description"), {}
    else:
        (member,) = parsed
        columns = parsed[member]
        settings = MappingSettings(mapping={"banking.transactions": parsed}, **tomllib.loads(ZONE))
    row = {columns.get("column", member): found.replace("␣", " ")} if found else {}
    if sign:
        row[columns["negative"]["column"]] = sign
    value = RowMapping("banking.transactions", settings).read(row)[member]
    assert (str(value) if isinstance(value, Decimal) else value) == (None if becomes == "no value" else becomes)


def test_each_word_has_its_example():
    assert {word for word, *_ in EXAMPLES} == {*MappingSettings.model_fields, *MemberRule.model_fields} - {
        "columns",
        "mapping",
    }
