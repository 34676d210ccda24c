"""docs/rules.md has every rule of the rehearsal, and `openholder rehearse` prints the same."""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from openholder import rehearsal
from openholder.cli.rehearse import rehearse
from openholder.rehearsal.attacks import bodies, headers, refusals
from openholder.rehearsal.results import Rule
from openholder.rehearsal.rules import find_rules, format_rule, format_rules, group_rules

PAGE = Path(__file__).parents[2] / "docs/rules.md"
RULES = find_rules()
ATTACKS = (
    *refusals.ATTACKS,
    *bodies.SEARCH_ATTACKS,
    *bodies.ACCOUNTS_ATTACKS,
    headers.HEADER_ATTACK,
)
NOTES = {
    attack.rule.name: {note for other in ATTACKS if other.rule is attack.rule for note in other.attempts}
    for attack in ATTACKS
}
"""What is special about each request of an attack, by rule."""


def run(*arguments):
    return CliRunner().invoke(rehearse, arguments)


def test_the_page_is_what_the_command_prints():
    """If this fails: `make pages`."""
    assert PAGE.read_text(encoding="utf-8") == format_rules() == run("--rules").stdout


def test_every_rule_of_the_rehearsal_is_in_the_catalogue():
    """If this fails, add the module to `GROUPS` in core/openholder/rehearsal/rules.py."""
    modules = [
        importlib.import_module(found.name)
        for found in pkgutil.walk_packages(rehearsal.__path__, f"{rehearsal.__name__}.")
    ]
    defined = {value.name for module in modules for value in vars(module).values() if isinstance(value, Rule)}
    assert len(defined) >= 120
    assert defined == set(RULES)


def test_no_rule_is_in_two_groups_and_no_group_is_empty():
    groups = list(group_rules())
    assert all(rules for _, rules in groups)
    names = [rule.name for _, rules in groups for rule in rules]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_a_rule_teaches(rule):
    """Each text is a whole sentence, except for the reference; the example is a request and what was answered."""
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", rule.name)
    for text in (rule.expected, rule.why, rule.how_to_fix):
        assert text.endswith("."), text
        assert text[0].isupper() or text[0].isdigit() or text.startswith(("aud", "bearer")), text
    assert ": " in rule.example or rule.name == "server-survives-attacks"
    assert rule.reference


@pytest.mark.parametrize("name", NOTES)
def test_the_example_of_an_attack_is_one_of_its_requests(name):
    (note,) = re.findall(r" \((.+?)\): ", RULES[name].example)
    assert note in NOTES[name]


def test_one_rule_is_printed_by_its_name():
    printed = run("--rule", "alg-none")
    assert (printed.exit_code, printed.stdout) == (0, format_rule(RULES["alg-none"]))
    assert printed.stdout in format_rules()


def test_a_wrong_name_gets_the_nearest_one_and_the_way_to_all():
    refused = run("--rule", "alg-non")
    assert refused.exit_code == 2
    assert "did you mean alg-none?" in refused.stderr
    assert "openholder rehearse --rules" in refused.stderr
