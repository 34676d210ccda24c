"""What Fiskil may ask: one table of operations a sector, and no code in it."""

from openholder.operations.auth import AUTH
from openholder.operations.banking import BANKING
from openholder.operations.common import COMMON
from openholder.operations.energy import ENERGY
from openholder.operations.fdx import FDX
from openholder.operations.starter import STARTER
from openholder.operations.table import Operation

OPERATIONS: tuple[Operation, ...] = (*AUTH, *STARTER, *BANKING, *ENERGY, *COMMON, *FDX)

__all__ = ["OPERATIONS", "Operation"]
