"""Records of the three consent endpoints, and those that decide on access to accounts.

Members: Fiskil's reference pages on customer search and customer details, and its build guide. Those pages do not mark
required members, so only the ids are required here.
"""

from __future__ import annotations

from openholder.contract.formats import AccountStatus, DateString, DateTimeString, NonEmptyString, PhoneNumber, Record


class CustomerMatch(Record):
    """A customer found by e-mail address."""

    id: NonEmptyString
    name: NonEmptyString
    phone_number: PhoneNumber | None = None


class Address(Record):
    """The OpenID Connect address claim, in camelCase."""

    street_address: str | None = None
    locality: str | None = None
    region: str | None = None
    postal_code: str | None = None
    country: str | None = None


class Customer(Record):
    """Identity claims of one customer: they fill the ID token."""

    id: NonEmptyString
    email: str | None = None
    email_verified: bool | None = None
    family_name: str | None = None
    given_name: str | None = None
    name: str | None = None
    phone_number: PhoneNumber | None = None
    phone_number_verified: bool | None = None
    updated_at: DateTimeString | None = None
    address: Address | None = None


class AccountUser(Record):
    """A person tied to a joint account or to one of an organisation."""

    id: str | int
    """An integer on Fiskil's banking page, a UUID on its energy page."""
    email: str
    is_account_holder: bool


class ConsentAccount(Record):
    """One account that the customer may choose to share."""

    id: NonEmptyString
    name: str | None = None
    type: str | None = None
    display_name: str | None = None
    users: list[AccountUser] | None = None
    complex_account_type: str | None = None


class AccountLink(Record):
    """Which customer may see which account, and whether it may be shared. Never leaves the server."""

    customer_id: NonEmptyString
    id: NonEmptyString
    status: AccountStatus = "open"
    closing_date: DateString | None = None
    """The day on which a closed account was closed. Only the rule ``[closed_accounts]`` needs it."""

    @property
    def may_be_shared(self) -> bool:
        """Whether anything of the account may be shared. Of blocked and suspended ones nothing may."""
        return self.status in ("open", "closed")


class Login(Record):
    """A further person who may log in for a customer. Never leaves the server."""

    email: NonEmptyString
    customer_id: NonEmptyString
