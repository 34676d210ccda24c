"""The catalogue of all rules: what each expects, why, where it is written, and how to fix a failure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from types import ModuleType
from typing import NamedTuple

from openholder.rehearsal import conversation, load, run, server_document
from openholder.rehearsal.attacks import (
    bearer,
    bodies,
    everywhere,
    headers,
    jose,
    methods,
    precedence,
    refusals,
    replayed_tokens,
    signature,
    wire,
    wrong_audience,
    wrong_claims,
)
from openholder.rehearsal.checks import (
    conditions,
    consistency,
    disclosures,
    json_schema,
    latency,
    lists,
    owners,
    plausibility,
    responses,
    texts,
)
from openholder.rehearsal.probes import (
    bulk,
    concurrency,
    connections,
    details,
    filtering,
    foreign_ids,
    refusal_times,
    repetition,
    rotation,
)
from openholder.rehearsal.results import Rule

WIDTH = 100
INTRODUCTION = """\
# Rules of the rehearsal

`openholder rehearse` checks the responses of a server against these rules, and its report names the
rules that are broken. `openholder rehearse --rules` prints this page, and `openholder rehearse
--rule NAME` prints the section of one rule.

A rule has one of three severities:

- **Critical**: customer data is at risk, or nothing works.
- **Error**: the contract is broken, so requests of Fiskil or of a recipient will fail.
- **Warning**: allowed or not provable, but worth a look. A warning does not fail the rehearsal.

The example is a failure as a report can show it: the request, a colon, and what was answered.
Reports have placeholders instead of ids, and no customer data.
"""


class RuleGroup(NamedTuple):
    """The rules of one topic."""

    heading: str
    modules: tuple[ModuleType, ...]

    @property
    def rules(self) -> list[Rule]:
        """The rules that the modules define, in their order."""
        found: dict[str, Rule] = {}
        for module in self.modules:
            for value in vars(module).values():
                if isinstance(value, Rule):
                    found.setdefault(value.name, value)
        return list(found.values())


GROUPS = (
    RuleGroup("Login, consent and data", (conversation,)),
    RuleGroup("Every response", (responses, disclosures, server_document)),
    RuleGroup("Records and their members", (json_schema, conditions, plausibility, texts)),
    RuleGroup("Lists and pages", (lists, repetition)),
    RuleGroup("Filters", (filtering,)),
    RuleGroup("Responses that must agree", (consistency, details, owners, bulk, concurrency)),
    RuleGroup("Connections", (connections,)),
    RuleGroup("Rotation of keys", (rotation,)),
    RuleGroup("Access to foreign data", (foreign_ids, refusal_times)),
    RuleGroup("Response times and load", (latency, load)),
    RuleGroup("Attacks: transport of the token", (bearer,)),
    RuleGroup("Attacks: signature and header of the token", (signature, jose)),
    RuleGroup("Attacks: claims of the token", (wrong_claims, wrong_audience)),
    RuleGroup("Attacks: replayed tokens", (replayed_tokens,)),
    RuleGroup("Attacks: how tokens are refused", (everywhere, precedence, refusals)),
    RuleGroup("Attacks: methods, bodies, headers and bytes", (methods, bodies, headers, wire, run)),
)
"""Every rule belongs to the first group that has it: modules also import rules of each other."""


def group_rules() -> Iterator[tuple[str, list[Rule]]]:
    """Yield the heading and the rules of each group; no rule comes twice."""
    seen: set[str] = set()
    for group in GROUPS:
        rules = [rule for rule in group.rules if rule.name not in seen]
        seen |= {rule.name for rule in rules}
        yield group.heading, rules


def find_rules() -> dict[str, Rule]:
    """Return all rules by name."""
    return {rule.name: rule for _, rules in group_rules() for rule in rules}


def format_rule(rule: Rule) -> str:
    """Format one rule as a section in Markdown."""
    lines = [f"### {rule.name}", "", *textwrap.wrap(f"**{rule.severity.capitalize()}.** {rule.expected}", WIDTH), ""]
    for label, text in (("Why", rule.why), ("Reference", rule.reference), ("How to fix", rule.how_to_fix)):
        lines += textwrap.wrap(f"- {label}: {text}", WIDTH, subsequent_indent="  ", break_on_hyphens=False)
    example = textwrap.wrap(rule.example, WIDTH, subsequent_indent="  ", break_on_hyphens=False)
    return "\n".join([*lines, "", "```text", *example, "```", ""])


def format_rules() -> str:
    """Format the page of all rules in Markdown."""
    parts = [INTRODUCTION]
    for heading, rules in group_rules():
        parts += [f"## {heading}\n", *map(format_rule, rules)]
    return "\n".join(parts)
