"""The credentials of a source at its upstream: none, a fixed header, or tokens of an OAuth authorization server."""

from __future__ import annotations

import asyncio
import base64
import re
import time
from collections.abc import Callable
from typing import Annotated, Any, Literal, Protocol
from urllib.parse import quote_plus

import aiohttp
from pydantic import AfterValidator, BaseModel, ConfigDict

from openholder import Secret, SecureURL, SourceFault, UntrustedJSON, describe_response, parse_json
from openholder_rest.transport import PASSING, RetryableError, UpstreamDown, read_body, send

MAX_TOKEN_RESPONSE = 65_536
DEFAULT_LIFETIME = 300
"""Seconds to use a token for if its response has no expires_in, which RFC 6749 section 5.1 only recommends."""
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
"""The errors of RFC 6749 section 5.2. Nothing else of an error response is logged: it may repeat what was sent."""
_VISIBLE = re.compile(r"[\x21-\x7e]+")

STRICT = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def _check_user(user: Secret) -> Secret:
    if ":" in user.get_secret_value():
        raise ValueError("must not contain a colon (RFC 7617 section 2)")
    return user


class Basic(BaseModel):
    """``[sources.X.basic]``: HTTP basic authentication (RFC 7617)."""

    model_config = STRICT

    user: Annotated[Secret, AfterValidator(_check_user)]
    password: Secret

    def build_header(self) -> str:
        """Return the value of ``Authorization``."""
        return _encode_basic(self.user.get_secret_value(), self.password.get_secret_value())


class OAuth(BaseModel):
    """``[sources.X.oauth]``: tokens by the client credentials grant (RFC 6749 section 4.4)."""

    model_config = STRICT

    token_url: SecureURL
    client_id: Secret
    client_secret: Secret
    scope: str = ""
    parameters: dict[str, str] = {}
    """Further parameters of the token request, such as ``audience``."""
    style: Literal["basic", "body"] = "basic"
    """How to send client_id and client_secret: in the ``Authorization`` header, or in the form."""

    def build_request(self) -> tuple[dict[str, str], dict[str, str]]:
        """Return form and headers of the token request."""
        form = {**self.parameters, "grant_type": "client_credentials"}
        if self.scope:
            form["scope"] = self.scope
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        client_id, secret = self.client_id.get_secret_value(), self.client_secret.get_secret_value()
        if self.style == "body":
            return form | {"client_id": client_id, "client_secret": secret}, headers
        # RFC 6749 section 2.3.1: both are form-encoded first, so the id may contain a colon.
        return form, headers | {"Authorization": _encode_basic(quote_plus(client_id), quote_plus(secret))}


def _encode_basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


class Credentials(Protocol):
    """Supplies the value of ``Authorization``."""

    async def get_header(self, refused: str = "") -> str:
        """Return the value to send, empty for none. If ``refused`` is given, return another value if possible."""

    async def close(self) -> None:
        """Cancel requests in progress."""


class FixedCredentials:
    """The same value for every request."""

    def __init__(self, value: str) -> None:
        self._value = value

    async def get_header(self, refused: str = "") -> str:
        """Return the value, even if it was refused before."""
        return self._value

    async def close(self) -> None:
        """Do nothing."""


class OAuthCredentials:
    """Tokens of an authorization server, each used until shortly before it expires.

    Callers that need a new one at the same time share one request, and its failure too.
    """

    def __init__(
        self,
        settings: OAuth,
        session: aiohttp.ClientSession,
        clock: Callable[[], float] = time.monotonic,
        proxy: str | None = None,
    ) -> None:
        self._settings = settings
        self._session = session
        self._clock = clock
        self._proxy = proxy
        self._value = ""
        self._valid_until = 0.0
        self._request: asyncio.Task[None] | None = None

    async def get_header(self, refused: str = "") -> str:
        """Return a token that has not expired and is not the refused one."""
        if self._value == refused or not self._value or self._clock() >= self._valid_until:
            if self._request is None:
                self._request = asyncio.create_task(self._fetch_token())
                self._request.add_done_callback(self._forget_request)
            # Shielded: a caller that is cancelled must not cancel the request that others wait for.
            await asyncio.shield(self._request)
        return self._value

    async def close(self) -> None:
        """Cancel a token request in progress."""
        if self._request:
            self._request.cancel()
            await asyncio.wait([self._request])

    def _forget_request(self, task: asyncio.Task[None]) -> None:
        self._request = None
        # If every caller was cancelled, nobody retrieves the exception, and asyncio would log it with its text.
        if not task.cancelled():
            task.exception()

    async def _fetch_token(self) -> None:
        started = self._clock()
        form, headers = self._settings.build_request()
        url = self._settings.token_url
        async with await send(self._session, "POST", url, proxy=self._proxy, data=form, headers=headers) as response:
            status = response.status
            if status == 429 or status >= 500:
                down = UpstreamDown(f"token request: status {status}")
                raise RetryableError(down) if status in PASSING else down
            obstacle = describe_response(status, response.headers)
            fields = _parse_object(await read_body(response, MAX_TOKEN_RESPONSE))
        if obstacle:
            error = fields.get("error")
            reason = f" ({error})" if isinstance(error, str) and error in ERRORS else ""
            raise SourceFault(f"token request: {obstacle}{reason}")
        self._value = f"Bearer {_read_token(fields)}"
        lifetime = _read_lifetime(fields)
        # Renewed 30 s early, or a tenth of a short life: the token must still be valid when the upstream checks it.
        self._valid_until = started + lifetime - min(30.0, lifetime / 10)


def _parse_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object in ``body``, empty if there is none: an error status may come with HTML."""
    try:
        parsed = parse_json(body)
    except UntrustedJSON:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _read_token(fields: dict[str, Any]) -> str:
    token, token_type = fields.get("access_token"), fields.get("token_type")
    if not isinstance(token, str) or not _VISIBLE.fullmatch(token):
        raise SourceFault("token response: access_token is missing, or not visible ASCII text")
    if not isinstance(token_type, str) or token_type.lower() != "bearer":
        raise SourceFault("token response: token_type must be Bearer")
    return token


def _read_lifetime(fields: dict[str, Any]) -> float:
    """Return expires_in, in seconds. Some servers send it as text."""
    text = str(fields.get("expires_in", DEFAULT_LIFETIME))
    if not text.isascii() or not text.isdecimal() or len(text) > 9:
        raise SourceFault("token response: expires_in must be a number of seconds")
    return float(text)
