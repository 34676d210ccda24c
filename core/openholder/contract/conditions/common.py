"""The conditions of the common records. CDS 1.36.0, common."""

from __future__ import annotations

from openholder.contract.conditions.kinds import Beside, Condition, Matches, Where, Without, name_objects
from openholder.contract.records.common import (
    Customer,
    CustomerDetail,
    Organisation,
    Person,
    PhoneNumber,
    PhysicalAddress,
    SimpleAddress,
)

COMMON = (
    *name_objects(Customer, "customerUType", "ResponseCommonCustomer_data", "person", "organisation"),
    *name_objects(CustomerDetail, "customerUType", "ResponseCommonCustomerDetailV2_data", "person", "organisation"),
    *name_objects(PhysicalAddress, "addressUType", "CommonPhysicalAddress", "simple", "paf"),
    Condition(Person, "occupationCodeVersion", Beside(("occupationCode",)), "CommonPerson"),
    Condition(
        Organisation, "industryCodeVersion", Without(("industryCode",)), "CommonOrganisation", "warning", "absent"
    ),
    Condition(
        PhoneNumber,
        "areaCode",
        Matches("fullNumber", r"(tel:)?\+61[ ()-]*[2378]", "a landline in Australia"),
        "CommonPhoneNumber",
    ),
    Condition(SimpleAddress, "postcode", Where("country", (None, "AUS")), "CommonSimpleAddress"),
)
