"""What users read when something is wrong, side by side: each message says what was found, what is allowed, or both.

``messages.txt`` is to be read as a whole. After a change of a message: ``make messages``, and read the difference.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from golden import cases

GOLDEN = (Path(__file__).parent / "messages.txt").read_text(encoding="utf-8")
EXPECTED = dict(re.findall(r"^# ([^\n]+)\n(.+?)(?=\n\n# |\n\Z)", GOLDEN, re.MULTILINE | re.DOTALL))
TEACHING = (
    r"expected|must|allowed|did you mean|such as|add|set|use|create|correct|convert|choose|give|fill|write|name|quote"
    r"|requires|missing|requests for it|is not one of|wanted"
)
"""A message says what is allowed or what to do next with one of these words."""


@pytest.fixture(scope="module")
def messages(tmp_path_factory):
    with cases.clean_environment():
        return cases.collect(tmp_path_factory.mktemp("golden"))


@pytest.mark.slow
def test_every_message_is_the_one_that_was_read(messages):
    """If this fails after a change of a message: `make messages`, and read the difference."""
    assert list(messages) == list(EXPECTED)
    assert {name: text for name, text in messages.items() if text != EXPECTED[name]} == {}


@pytest.mark.parametrize("name", EXPECTED)
def test_a_message_teaches(name):
    for line in EXPECTED[name].splitlines():
        assert re.search(rf"\b({TEACHING})\b|=", line, re.IGNORECASE), line
        assert line[-1] not in ":,", line


@pytest.mark.parametrize("name", EXPECTED)
def test_a_message_has_no_value_and_nothing_of_python(name):
    for word in ("SECRET", "Zoë", "Traceback", "NoneType", "Input should", "pydantic", "object at 0x"):
        assert word not in EXPECTED[name]


def test_there_are_enough_of_them():
    assert len(EXPECTED) >= 70
