"""The customer as a person or an organisation, and the addresses that every sector uses. CDS 1.36.0, common."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from openholder.contract.formats import (
    EMPTY_LIST,
    DateString,
    DateTimeString,
    ExternalRef,
    PositiveInteger,
    Record,
)

CustomerKind = Literal["organisation", "person"]
OccupationCodeVersion = Literal[
    "ANZSCO_1220.0_2006_V1.0",
    "ANZSCO_1220.0_2006_V1.1",
    "ANZSCO_1220.0_2013_V1.2",
    "ANZSCO_1220.0_2013_V1.3",
]
IndustryCodeVersion = Literal["ANZSIC_1292.0_2006_V1.0", "ANZSIC_1292.0_2006_V2.0"]
OrganisationType = Literal["COMPANY", "GOVERNMENT_ENTITY", "OTHER", "PARTNERSHIP", "SOLE_TRADER", "TRUST"]


class SimpleAddress(Record):
    """An address as it is written on an envelope."""

    address_line1: str
    city: str
    state: str
    mailing_name: str | None = None
    address_line2: str | None = None
    address_line3: str | None = None
    postcode: str | None = None
    country: ExternalRef | None = None


class PAFAddress(Record):
    """An Australian address, in the fields of the Postal Address File (PAF)."""

    locality_name: str
    postcode: str
    state: str
    dpid: str | None = None
    thoroughfare_number1: PositiveInteger | None = None
    thoroughfare_number1_suffix: str | None = None
    thoroughfare_number2: PositiveInteger | None = None
    thoroughfare_number2_suffix: str | None = None
    flat_unit_type: str | None = None
    flat_unit_number: str | None = None
    floor_level_type: str | None = None
    floor_level_number: str | None = None
    lot_number: str | None = None
    building_name1: str | None = None
    building_name2: str | None = None
    street_name: str | None = None
    street_type: str | None = None
    street_suffix: str | None = None
    postal_delivery_type: str | None = None
    postal_delivery_number: PositiveInteger | None = None
    postal_delivery_number_prefix: str | None = None
    postal_delivery_number_suffix: str | None = None


class PhysicalAddress(Record):
    """An address in one of two forms. ``address_u_type`` names the form."""

    address_u_type: Literal["paf", "simple"]
    simple: SimpleAddress | None = None
    paf: PAFAddress | None = None


class PhysicalAddressWithPurpose(PhysicalAddress, kw_only=True):
    """An address, and its purpose."""

    purpose: Literal["MAIL", "OTHER", "PHYSICAL", "REGISTERED", "WORK"]


class PhoneNumber(Record):
    """A telephone number, in parts and as a whole."""

    purpose: Literal["HOME", "INTERNATIONAL", "MOBILE", "OTHER", "UNSPECIFIED", "WORK"]
    number: str
    full_number: ExternalRef
    is_preferred: bool | None = None
    country_code: str | None = None
    area_code: str | None = None
    extension: str | None = None


class EmailAddress(Record):
    """An e-mail address, and its purpose."""

    purpose: Literal["HOME", "OTHER", "UNSPECIFIED", "WORK"]
    address: ExternalRef
    is_preferred: bool | None = None


class Person(Record):
    """Name and occupation of a natural person."""

    last_name: str
    middle_names: Annotated[list[str], EMPTY_LIST]
    first_name: str | None = None
    prefix: str | None = None
    suffix: str | None = None
    last_update_time: DateTimeString | None = None
    occupation_code: ExternalRef | None = None
    occupation_code_version: OccupationCodeVersion | None = None


class PersonDetail(Person, kw_only=True):
    """A person with addresses, e-mail addresses and telephone numbers."""

    phone_numbers: Annotated[list[PhoneNumber], EMPTY_LIST]
    email_addresses: Annotated[list[EmailAddress], EMPTY_LIST]
    physical_addresses: Annotated[list[PhysicalAddressWithPurpose], EMPTY_LIST]


class Organisation(Record):
    """An organisation, and the agent who acts for it."""

    agent_last_name: str
    agent_role: str
    business_name: str
    organisation_type: OrganisationType
    agent_first_name: str | None = None
    legal_name: str | None = None
    short_name: str | None = None
    abn: str | None = None
    acn: str | None = None
    is_acnc_registered: bool | None = msgspec.field(default=None, name="isACNCRegistered")
    industry_code: ExternalRef | None = None
    industry_code_version: IndustryCodeVersion | None = None
    registered_country: ExternalRef | None = None
    establishment_date: DateString | None = None
    last_update_time: DateTimeString | None = None


class OrganisationDetail(Organisation, kw_only=True):
    """An organisation with its addresses."""

    physical_addresses: Annotated[list[PhysicalAddressWithPurpose], EMPTY_LIST]


class Customer(Record):
    """The customer in brief: a person or an organisation."""

    customer_u_type: CustomerKind
    person: Person | None = None
    organisation: Organisation | None = None


class CustomerDetail(Record):
    """The customer in full, with addresses and telephone numbers."""

    customer_u_type: CustomerKind
    person: PersonDetail | None = None
    organisation: OrganisationDetail | None = None
