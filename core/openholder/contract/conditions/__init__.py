"""The conditions of the CDS: members that a record must have in some cases. Rows of tables, and what asks them.

The standard marks 113 members of our records as conditional (``x-conditional`` of its schemas): 58 of banking, 45 of
energy, 10 of customers. Three of them are the addresses of banking, which are those of customers; another three belong
to the rate of a fee, which has no members of these names. The tables have the 107 that remain.
"""

from openholder.contract.conditions.banking import BANKING
from openholder.contract.conditions.checking import Broken, Checker, compile_checker, list_conditions
from openholder.contract.conditions.common import COMMON
from openholder.contract.conditions.energy import ENERGY
from openholder.contract.conditions.kinds import STANDARD, Condition, Severity, Unseen

CONDITIONS: dict[str, tuple[Condition, ...]] = {"banking": BANKING, "energy": ENERGY, "common": COMMON}
"""All conditions, by sector."""

__all__ = [
    "CONDITIONS",
    "STANDARD",
    "Broken",
    "Checker",
    "Condition",
    "Severity",
    "Unseen",
    "compile_checker",
    "list_conditions",
]
