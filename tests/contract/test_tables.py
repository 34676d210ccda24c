"""The tables of the contract are complete, and a line that says nothing is found out."""

from __future__ import annotations

import re

import pytest

from contract import read_operations, tables


def names_in(text: object) -> set[str]:
    """Return the words of a line, or of all lines of a table."""
    return set(re.findall(r"[\w-]+", str(text)))


def test_there_are_forty_operations():
    assert len(read_operations()) == 40


def test_every_record_and_type_is_used():
    words = names_in(tables.read_table("operations")) | names_in(tables.read_table("parameters"))
    for record in tables.read_records().values():
        words |= names_in([text for name, text in record.items() if name != "values"])
    assert tables.read_records().keys() - words == {"ErrorList", "FdxPage", "Links"}, "by tables.py"
    assert tables.read_types().keys() - words == set()


def test_every_parameter_and_group_of_failures_is_used():
    operations = tables.read_table("operations").values()
    assert set().union(*(row.get("query", ()) for row in operations)) == tables.read_table("parameters")["query"].keys()
    assert set().union(*(row["failures"] for row in operations)) == tables.read_table("failures").keys()


@pytest.mark.parametrize("text", ["txt", "list of", "required", "Required id", "one OF A, B", "id, required"])
def test_a_line_that_cannot_be_read_is_an_error(text):
    with pytest.raises(ValueError, match="is not a type"):
        tables.build_object({"name": text})


def test_an_operation_has_no_keys_that_nobody_reads():
    known = {"call", "source", "evidence", "collection", "deprecated", "query", "body", "answer"}
    known |= {"paging", "meta", "failures"}
    for name, operation in tables.read_table("operations").items():
        assert operation.keys() <= known, name
        assert operation["failures"][0] in ("urns", "words"), name
        assert operation["evidence"] in ("full", "partly", "inferred", "speculative"), name
