"""docs/glossary.md explains the terms that the pages use."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "glossary.md").read_text(encoding="utf-8")
SECTIONS = {
    heading: re.findall(r"^### (.+)$", text, re.MULTILINE)
    for heading, text in re.findall(r"^## ([^\n]+)\n(.+?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
}
TERMS = [term for terms in SECTIONS.values() for term in terms]


@pytest.mark.parametrize("heading", SECTIONS)
def test_terms_are_in_alphabetical_order(heading):
    keys = [re.sub(r"\W", "", term.lower()) for term in SECTIONS[heading]]
    assert keys == sorted(keys)


@pytest.mark.parametrize("term", TERMS)
def test_a_term_is_used_elsewhere(term):
    others = [path for path in DOCS.parent.glob("docs/*.md") if path.name != "glossary.md"]
    texts = " ".join(path.read_text(encoding="utf-8").lower() for path in [*others, DOCS.parent / "README.md"])
    words = re.sub(r"`", "", term.lower()).split(", ")
    assert [word for word in words if word in texts.replace("\n", " ")] != []


def test_the_terms_of_the_field_are_there():
    wanted = {"CDR", "CDS", "FDX", "Fiskil", "Data holder", "`jti`", "Collection", "Member", "Owner", "Source"}
    assert wanted | {"Generation"} <= set(TERMS)
