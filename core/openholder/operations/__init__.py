"""What Fiskil may ask: one table of operations a sector, and no code in it."""

from openholder.operations.auth import AUTH
from openholder.operations.starter import STARTER
from openholder.operations.table import Operation

OPERATIONS: tuple[Operation, ...] = (*AUTH, *STARTER)

__all__ = ["OPERATIONS", "Operation"]
