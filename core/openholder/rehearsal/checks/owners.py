"""Checks across people: ids of others in a response, joint accounts that one owner lacks, accounts that no list has."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from openholder.rehearsal.exchange import CallSequence, get_member
from openholder.rehearsal.results import SERVER, Result, Rule, fail_rule, judge_rule, pass_rule, skip_rule
from openholder.rehearsal.session import CustomerRun, Session

OTHERS_IDS = Rule(
    name="ids-of-others",
    severity="critical",
    expected="No response contains an account id, customer id or address of another person, except as a user of the"
    " account.",
    why="A stranger's ids leave the bank, and often more of the stranger's data beside them.",
    reference="Consumer Data Standards, offsetAccountIds: accounts of the authorisation only; OWASP API Security 2023",
    how_to_fix="Select related accounts under the customer, too. Omit the ids of accounts that are not the customer's.",
    example="GET …/accounts/{accountId}: offsetAccountIds: an id of another customer",
)
JOINT_OWNERS = Rule(
    name="joint-owners",
    severity="error",
    expected="Whoever is a holder in `users` of an account finds the account in the own consent list.",
    why="One of the owners of a joint account can neither see nor share it.",
    reference="Fiskil, joint and organisation accounts: one account, under one id, for each of its holders",
    how_to_fix="Select the accounts of the consent list by all of their holders.",
    example="GET /auth/v1/customer/{customerId}/accounts: an account that a holder does not find in the own list",
)
OFFERED_LISTED = Rule(
    name="offered-accounts-listed",
    severity="error",
    expected="Each account that was offered for consent is in the list of accounts of a sector.",
    why="The customer consents to share an account, and the recipient never sees it.",
    reference="Fiskil, consents: the accounts that may be shared; Consumer Data Standards, Get Accounts",
    how_to_fix="Compare the accounts of the consent list with those of the sector; look for a join that loses some.",
    example="GET /auth/v1/customer/{customerId}/accounts: 1 of 4 accounts is in no list",
)
LINK_HOSTS = Rule(
    name="link-hosts",
    severity="warning",
    expected="All links lead to one public host, that of the server or of Fiskil.",
    why="Recipients follow the links: to a host that they cannot reach, or with their token to a stranger.",
    reference="Consumer Data Standards, pagination: fully qualified URIs; Fiskil, examples of lists: query strings",
    how_to_fix="Build links from the configured public URL, never from the Host header or the name of the machine.",
    example="GET …/accounts/{accountId}/transactions: a link to a private host",
)
_ACCOUNT = re.compile(r".*account_?ids?", re.IGNORECASE)
_CUSTOMER = re.compile(r".*customer_?ids?", re.IGNORECASE)
_DISTINCT = re.compile(r"(?=.*\d)(?=.*[A-Za-z]).{6,}")
"""Ids that are nothing else by chance, whatever the name of their member is."""
_OWN_MEMBERS = ("id", "accountId", "account_id", "customerId")
_PRIVATE_NAMES = (".local", ".internal", ".lan", ".corp", ".home.arpa", ".svc", "localhost")
_LISTS = ("banking.accounts", "energy.accounts", "fdx.accounts")


def check_owners(session: Session) -> Iterator[Result]:
    """Compare what each person received with what others received. Sends no request."""
    for run in session.runs:
        yield from _check_ids_of_others(session, run)
        yield from _check_joint_owners(session, run)
        yield from _check_offered(session, run)
    yield from _check_link_hosts(session)


def _check_ids_of_others(session: Session, run: CustomerRun) -> Iterator[Result]:
    others = [other for other in session.runs if other.customer_id != run.customer_id]
    own_customers = {run.customer_id, *_find_customers(run)}
    accounts = {account for other in others for account in other.offered} - {*run.offered, *own_customers}
    customers = {value for other in others for value in _find_customers(other)} - own_customers - set(run.offered)
    addresses = {other.email.lower() for other in others if other.email} - {run.email.lower()}
    if not accounts | customers | addresses:
        return
    for sequence in _list_sequences(run):
        names: dict[str, None] = {}
        # Whoever is paid may have an address of the same bank.
        is_own = sequence.operation.collection in (*_LISTS, "accounts", "customers")
        for record in sequence.records:
            # Whose the record itself is, other rules check.
            inner = {name: value for name, value in record.items() if name not in _OWN_MEMBERS}
            for name, value in _walk_ids(inner):
                is_account = value in accounts and (_ACCOUNT.fullmatch(name) or _DISTINCT.fullmatch(value))
                is_customer = value in customers and (_CUSTOMER.fullmatch(name) or _DISTINCT.fullmatch(value))
                if is_account or is_customer or (is_own and value.lower() in addresses):
                    names[name] = None
        observed = f"{', '.join(names)}: an id or address of another customer"
        yield judge_rule(OTHERS_IDS, sequence.route, not names, observed, sequence.first.request)


def _find_customers(run: CustomerRun) -> set[str]:
    """Return the ids of the customers that the person may log in as."""
    found = {record.get("id") for sequence in run.sequences.get("searchCustomers", ()) for record in sequence.records}
    return {value for value in (*found, run.customer_id) if isinstance(value, str) and value}


def _list_sequences(run: CustomerRun) -> list[CallSequence]:
    return [sequence for sequences in run.sequences.values() for sequence in sequences]


def _walk_ids(content: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield the member and value of each text; the users of an account are other people by right."""
    if isinstance(content, str):
        yield name, content
    elif isinstance(content, dict):
        for member, value in content.items():
            if member != "users":
                yield from _walk_ids(value, member)
    elif isinstance(content, list):
        for value in content:
            yield from _walk_ids(value, name)


def _check_joint_owners(session: Session, run: CustomerRun) -> Iterator[Result]:
    """Look for each account's other holders among the people of the rehearsal."""
    people = {other.email.lower(): other for other in session.runs if other is not run and other.email}
    for sequence in run.sequences.get("listConsentAccounts", ()):
        for record in sequence.records:
            users = record.get("users")
            for user in users if isinstance(users, list) else ():
                other = people.get(str(get_member(user, "email")).lower())
                # Of an organisation's account, whoever may act for it logs in as another customer.
                if other and get_member(user, "isAccountHolder") is True and _is_of_persons(record):
                    is_kept = record.get("id") in other.offered
                    observed = "an account that a holder does not find in the own list"
                    yield judge_rule(JOINT_OWNERS, sequence.route, is_kept, observed, sequence.first.request)


def _is_of_persons(record: dict[str, Any]) -> bool:
    return "joint" in str(record.get("complexAccountType", "joint")).lower()


def _check_offered(session: Session, run: CustomerRun) -> Iterator[Result]:
    """Check that each account that was consented to is in a list, if those of all sectors were requested."""
    consent = run.sequences.get("listConsentAccounts", [])
    if not consent or not run.accounts:
        return
    lists = [each for each in _list_sequences(run) if each.operation.collection in _LISTS and each.operation.reply.many]
    if session.plan.sectors or session.plan.is_part or not any(each.first.is_ok for each in lists):
        yield skip_rule(OFFERED_LISTED, consent[0].route, "only the lists of some sectors were requested")
        return
    if not all(each.is_whole for each in lists if each.first.is_ok):
        yield skip_rule(OFFERED_LISTED, consent[0].route, "a list of accounts was not read to its end")
        return
    listed = {record.get("accountId") for each in lists for record in each.records}
    withheld = {
        each.ids["accountId"] for each in _list_sequences(run) if "accountId" in each.ids and each.first.is_withheld
    }
    missing = [account for account in run.accounts if account not in listed and account not in withheld]
    observed = f"{len(missing)} of {len(run.accounts)} accounts are in no list"
    yield judge_rule(OFFERED_LISTED, consent[0].route, not missing, observed, consent[0].first.request)


def _check_link_hosts(session: Session) -> Iterator[Result]:
    own = {urlsplit(url).netloc.lower() for url in (session.caller.audience, session.caller.base_url)}
    first = ""
    for sequence in (sequence for run in session.runs for sequence in _list_sequences(run)):
        for exchange in sequence.exchanges:
            links = get_member(exchange.json, "links")
            for link in links.values() if isinstance(links, dict) and exchange.is_ok else ():
                host = urlsplit(link).netloc.lower() if isinstance(link, str) else ""
                if not host or host in own:
                    continue
                first = first or host
                if _is_private(host):
                    yield fail_rule(LINK_HOSTS, sequence.route, "a link to a private host", exchange.request)
                elif host != first:
                    yield fail_rule(LINK_HOSTS, sequence.route, "links to two different hosts", exchange.request)
    yield pass_rule(LINK_HOSTS, SERVER)


def _is_private(host: str) -> bool:
    name = urlsplit(f"//{host}").hostname or ""
    try:
        return not ipaddress.ip_address(name).is_global
    except ValueError:
        return "." not in name or name.endswith(_PRIVATE_NAMES)
