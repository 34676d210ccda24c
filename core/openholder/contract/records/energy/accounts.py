"""Energy accounts and the plans they are on. CDS 1.36.0, energy."""

from __future__ import annotations

from typing import Literal

from openholder.contract.formats import DateString, NonEmptyString, Record
from openholder.contract.records.auth import AccountUser
from openholder.contract.records.energy.plans import PlanDetail


class PlanOverview(Record):
    """A plan's name and how long the account has been on it."""

    start_date: DateString
    display_name: str | None = None
    end_date: DateString | None = None


class AuthorisedContact(Record):
    """A person whom the customer lets act on the plan."""

    last_name: str
    first_name: str | None = None
    middle_names: list[str] | None = None
    prefix: str | None = None
    suffix: str | None = None


class AccountPlan(Record):
    """A plan of an account, with the service points it supplies."""

    service_point_ids: list[str]
    nickname: str | None = None
    plan_overview: PlanOverview | None = None
    plan_detail: PlanDetail | None = None
    authorised_contacts: list[AuthorisedContact] | None = None


class AccountBase(Record):
    """What every reply says of an account."""

    account_id: NonEmptyString
    account_number: str | None = None
    display_name: str | None = None
    open_status: Literal["CLOSED", "OPEN"] | None = None
    creation_date: DateString | None = None


class AccountDetail(AccountBase, kw_only=True):
    """An account with its plans: alone, and as an item of the account list."""

    plans: list[AccountPlan]


class DeprecatedAccount(AccountDetail):
    """An item of the deprecated account list, which also tells who else may see a joint account."""

    complex_account_type: str | None = None
    users: list[AccountUser] | None = None
