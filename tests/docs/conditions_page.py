"""Write docs/conditions.md from the table of conditions: run ``python tests/docs/conditions_page.py``."""

from __future__ import annotations

from pathlib import Path

from openholder.contract.conditions import CONDITIONS, STANDARD, Condition, Unseen

PAGE = Path(__file__).parents[2] / "docs/conditions.md"
HEAD = f"""# Conditions of the standard

{STANDARD} requires some members only in certain cases. A JSON Schema cannot say that, and a record
without them passes every other check. openholder asks these conditions in three places:

- `openholder check --data` reports each one that a record breaks, with its count and ids.
- `openholder rehearse` asks them of the answers of any server: the rules `named-members` and
  `conditional-members`.
- The server counts them in `openholder_conditions_broken_total`, by collection, member, fault and
  severity. It logs each one at most once in ten minutes, without ids and values.

By default such records are served. With `conditions = "refuse"`, a record that breaks a condition
of severity `error` is 500 and the log names its member. Warnings and notes are never refused.

Where a member `…UType` names an object, the object is required: an error. Another object beside it
that is not named is a warning. An empty text or list counts as absent. Members are written from the
object of the section that has them.

The standard marks 113 members of the records as conditional. Three are the addresses of banking,
which are those of customers, and three have no member of their name; 107 remain.
"""


def render_page() -> str:
    """Render the page: one table for each sector."""
    parts = [HEAD]
    for sector, rows in CONDITIONS.items():
        parts.append(
            f"\n## {sector.capitalize()}\n\n| section | member | must be | when | severity |\n|---|---|---|---|---|\n"
        )
        parts += map(_render_row, rows)
    return "".join(parts)


def _render_row(row: Condition) -> str:
    severity = "not tested: no record shows it" if isinstance(row.when, Unseen) else row.severity
    return f"| {row.section} | `{row.member}` | {row.must} | {row.when.describe()} | {severity} |\n"


if __name__ == "__main__":
    PAGE.write_text(render_page(), encoding="utf-8")
