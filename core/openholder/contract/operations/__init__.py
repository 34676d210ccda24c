"""All operations: one table per sector, without code."""

from openholder.contract.operation import Operation
from openholder.contract.operations.auth import AUTH
from openholder.contract.operations.banking import BANKING
from openholder.contract.operations.common import COMMON
from openholder.contract.operations.energy import ENERGY
from openholder.contract.operations.fdx import FDX
from openholder.contract.operations.starter import STARTER

OPERATIONS: tuple[Operation, ...] = (*AUTH, *STARTER, *BANKING, *ENERGY, *COMMON, *FDX)

__all__ = ["OPERATIONS", "Operation"]
