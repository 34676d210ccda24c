"""How a source proves to its upstream who it is: nothing, a fixed header, or tokens of an authorization server."""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import re
import time
from collections.abc import Callable
from typing import Annotated, Any, Literal, Protocol
from urllib.parse import quote_plus

import aiohttp
from pydantic import AfterValidator, BaseModel, ConfigDict

from openholder import Secret, SourceFault, UntrustedJSON, parse_json, split_url
from openholder_rest.transport import Again, Down, body_of, sent

MAX_TOKEN_ANSWER = 65_536
DEFAULT_LIFETIME = 300
"""Seconds for which a token is used whose lifetime is not told (RFC 6749 section 5.1 only recommends that it is)."""
ERRORS = frozenset(
    {
        "invalid_client",
        "invalid_grant",
        "invalid_request",
        "invalid_scope",
        "unauthorized_client",
        "unsupported_grant_type",
    }
)
"""RFC 6749 section 5.2. Nothing else of an answer is shown: it may repeat what was sent."""
_VISIBLE = re.compile(r"[\x21-\x7e]+")

STRICT = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def _no_colon(user: Secret) -> Secret:
    if ":" in user.get_secret_value():
        raise ValueError("must not have a colon in it (RFC 7617 section 2)")
    return user


def _is_loopback(host: str | None) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def _token_url(url: str) -> str:
    parts = split_url(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(parts.hostname)):
        raise ValueError("must be https (http is for loopback addresses only)")
    return url


class Basic(BaseModel):
    """``[sources.X.basic]``: HTTP basic authentication (RFC 7617)."""

    model_config = STRICT

    user: Annotated[Secret, AfterValidator(_no_colon)]
    password: Secret

    def header(self) -> str:
        """The value of ``Authorization``."""
        return _basic(self.user.get_secret_value(), self.password.get_secret_value())


class OAuth(BaseModel):
    """``[sources.X.oauth]``: tokens by the client credentials grant (RFC 6749 section 4.4)."""

    model_config = STRICT

    token_url: Annotated[str, AfterValidator(_token_url)]
    client_id: Secret
    client_secret: Secret
    scope: str = ""
    parameters: dict[str, str] = {}
    """Further parameters of the token request, such as ``audience``."""
    style: Literal["basic", "body"] = "basic"
    """Where id and secret of the client stand: in the ``Authorization`` header, or in the form."""

    def request(self) -> tuple[dict[str, str], dict[str, str]]:
        """The form of the token request, and its headers."""
        form = {**self.parameters, "grant_type": "client_credentials"} | ({"scope": self.scope} if self.scope else {})
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        identity, secret = self.client_id.get_secret_value(), self.client_secret.get_secret_value()
        if self.style == "body":
            return form | {"client_id": identity, "client_secret": secret}, headers
        # Section 2.3.1: both are form-encoded first, so that a colon in the id does no harm.
        return form, headers | {"Authorization": _basic(quote_plus(identity), quote_plus(secret))}


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


class Credentials(Protocol):
    """Where the value of ``Authorization`` comes from."""

    async def header(self, refused: str = "") -> str:
        """The value to send, empty for none; another one than ``refused`` where there can be another."""

    async def close(self) -> None:
        """End what is under way."""


class Fixed:
    """The same value for every request."""

    def __init__(self, value: str) -> None:
        self._value = value

    async def header(self, refused: str = "") -> str:
        """The value, whatever became of it before."""
        return self._value

    async def close(self) -> None:
        """Nothing is under way."""


class Tokens:
    """Tokens of an authorization server, each used until shortly before it ends.

    All who need a new one at the same time wait for one request, and share its failure too.
    """

    def __init__(
        self, settings: OAuth, session: aiohttp.ClientSession, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._session = session
        self._clock = clock
        self._value = ""
        self._until = 0.0
        self._fetching: asyncio.Task[None] | None = None

    async def header(self, refused: str = "") -> str:
        """A token that has not ended and is not the one that was refused."""
        if self._value == refused or not self._value or self._clock() >= self._until:
            if self._fetching is None:
                self._fetching = asyncio.create_task(self._fetch())
                self._fetching.add_done_callback(self._fetched)
            # A caller that goes away must not take the token from the others.
            await asyncio.shield(self._fetching)
        return self._value

    async def close(self) -> None:
        """Give up a request that is under way."""
        if self._fetching:
            self._fetching.cancel()
            await asyncio.wait([self._fetching])

    def _fetched(self, task: asyncio.Task[None]) -> None:
        self._fetching = None
        # Nobody may be left to hear of a failure; asyncio would then log it with its text.
        if not task.cancelled():
            task.exception()

    async def _fetch(self) -> None:
        asked = self._clock()
        form, headers = self._settings.request()
        async with await sent(self._session, "POST", self._settings.token_url, data=form, headers=headers) as response:
            _refuse_trouble(response.status)
            answer = _object(await body_of(response, MAX_TOKEN_ANSWER))
        if response.status != 200:
            raise SourceFault(f"token request: answered {response.status}{_reason(answer)}")
        self._value, lifetime = f"Bearer {_token(answer)}", _lifetime(answer)
        self._until = asked + lifetime - min(30.0, lifetime / 10)


def _refuse_trouble(status: int) -> None:
    if status == 429 or status >= 500:
        down = Down(f"token request: answered {status}")
        raise Again(down) if status in {502, 503, 504} else down


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = parse_json(body)
    except UntrustedJSON:
        found = None
    return found if isinstance(found, dict) else {}


def _reason(answer: dict[str, Any]) -> str:
    error = answer.get("error")
    return f" ({error})" if isinstance(error, str) and error in ERRORS else ""


def _token(answer: dict[str, Any]) -> str:
    token, kind = answer.get("access_token"), answer.get("token_type")
    if not isinstance(token, str) or not _VISIBLE.fullmatch(token):
        raise SourceFault("token request: the answer has no access_token")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise SourceFault("token request: token_type is not Bearer")
    return token


def _lifetime(answer: dict[str, Any]) -> float:
    """Seconds. Some servers write them as text."""
    told = str(answer.get("expires_in", DEFAULT_LIFETIME))
    if not told.isascii() or not told.isdecimal() or len(told) > 9:
        raise SourceFault("token request: expires_in is no number of seconds")
    return float(told)
