"""The judges of data: a table of classes that each see all records as they stream by, and yield findings.

To add a judge, subclass `Judge`, implement what it needs to see, and add the class to `JUDGES`. It keeps counts and ids
alone: the records of a whole bank pass by. What it yields is grouped, counted, printed and tested by what is there.
"""

from openholder.inspection.judges.base import Judge
from openholder.inspection.judges.conditions import ConditionJudge
from openholder.inspection.judges.coverage import CoverageJudge
from openholder.inspection.judges.form import FormJudge, IdentityJudge
from openholder.inspection.judges.links import LinkJudge
from openholder.inspection.judges.logins import LoginJudge
from openholder.inspection.judges.owners import OwnerJudge
from openholder.inspection.judges.profile import ProfileJudge
from openholder.inspection.judges.references import ReferenceJudge

JUDGES: tuple[type[Judge], ...] = (
    FormJudge,
    IdentityJudge,
    ConditionJudge,
    OwnerJudge,
    LoginJudge,
    LinkJudge,
    ReferenceJudge,
    ProfileJudge,
    CoverageJudge,
)

__all__ = ["JUDGES", "Judge"]
