"""The documents are easy to read: short lines and short sentences."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted({*ROOT.glob("docs/*.md"), *ROOT.glob("*.md")} - {ROOT / "README.md", ROOT / "CHANGELOG.md"})
MAX_LINE = 100
"""Characters."""
MAX_SENTENCE = 30
"""Words."""
ABBREVIATION = r"(?<!e\.g)(?<!i\.e)"


def read_prose(text: str) -> str:
    """Return the text without code blocks, tables, and the targets of links."""
    text = re.sub(r"^( *)```.*?^\1```", "", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"^ *\|.*$", "", text, flags=re.MULTILINE)
    return re.sub(r"\]\([^)]*\)", "]", text)


def split_sentences(text: str) -> list[str]:
    """Split prose into sentences. A heading, an item of a list and a colon before a list end one, too."""
    paragraphs = re.split(r"\n\s*\n|\n(?= *(?:[-*]|\d+\.) )|^#+ .*$", read_prose(text), flags=re.MULTILINE)
    whole = [re.sub(r"`[^`]*`", "code", " ".join(paragraph.split())) for paragraph in paragraphs]
    return [sentence for part in whole for sentence in re.split(rf"{ABBREVIATION}[.!?;:](?=\s|\*|$)", part)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_lines_are_short(page):
    """Code in a line cannot be broken, so a line that is code alone may be longer."""
    lines = read_prose(page.read_text(encoding="utf-8")).splitlines()
    breakable = [line for line in lines if not re.fullmatch(r" *`[^`]*`[.:,]?", line)]
    assert [line for line in breakable if len(line) > MAX_LINE] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_sentences_are_short(page):
    sentences = split_sentences(page.read_text(encoding="utf-8"))
    assert [sentence for sentence in sentences if len(sentence.split()) > MAX_SENTENCE] == []


@pytest.mark.parametrize(
    ("text", "longest"),
    [
        ("One two. Three four five.", 3),
        ("A sentence with `code of many words` counts\nits code as one.", 9),
        ("- one two\n- three four\n  five", 4),
        ("| a table | is | left out of | this |\n\nOne.", 1),
        ("```sh\nso is code of many words\n```\n", 0),
    ],
)
def test_what_counts_as_a_sentence(text, longest):
    assert max(len(sentence.split()) for sentence in split_sentences(text)) == longest
