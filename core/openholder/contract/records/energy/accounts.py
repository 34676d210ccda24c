"""Energy accounts and their plans. CDS 1.36.0, energy."""

from __future__ import annotations

from typing import Annotated, Literal

from openholder.contract.formats import (
    EMPTY_LIST,
    DateString,
    NonEmptyString,
    Record,
)
from openholder.contract.records.auth import AccountUser
from openholder.contract.records.energy.plans import PlanDetail


class PlanOverview(Record):
    """A plan's name, and the period for which the account has had it."""

    start_date: DateString
    display_name: str | None = None
    end_date: DateString | None = None


class AuthorisedContact(Record):
    """A person whom the customer has authorised to act on the plan."""

    last_name: str
    first_name: str | None = None
    middle_names: list[str] | None = None
    prefix: str | None = None
    suffix: str | None = None


class AccountPlan(Record):
    """A plan of an account, with its service points."""

    service_point_ids: Annotated[list[str], EMPTY_LIST]
    nickname: str | None = None
    plan_overview: PlanOverview | None = None
    plan_detail: PlanDetail | None = None
    authorised_contacts: list[AuthorisedContact] | None = None


class AccountBase(Record):
    """The members that all representations of an account share."""

    account_id: NonEmptyString
    account_number: str | None = None
    display_name: str | None = None
    open_status: Literal["CLOSED", "OPEN"] | None = None
    creation_date: DateString | None = None


class AccountDetail(AccountBase, kw_only=True):
    """An account with its plans, on its own or in the list of accounts."""

    plans: list[AccountPlan]


class DeprecatedAccount(AccountDetail):
    """An item of the deprecated account list, with the other people who may see a joint account."""

    complex_account_type: str | None = None
    users: list[AccountUser] | None = None
