"""Limits of requests and responses, shared by the server, its OpenAPI document and the rehearsal."""

from __future__ import annotations

import re

MAX_ID = 256
"""Characters of an id. The CDS set no limit, FDX has this one."""

MAX_EMAIL = 320
"""Characters of the longest address: 64 before the @ and 255 after it (RFC 5321 section 4.5.3.1)."""

MAX_TEXT = 1000
"""Characters of a text to search for."""

MAX_ACCOUNTS = 1000
"""Accounts that one request may name, and that one customer may have."""

MAX_BODY = 65_536
"""Bytes of a request's body, unless it names accounts."""

MAX_ACCOUNTS_BODY = 524_288
"""Bytes of a body that names accounts: twice the size of a thousand ids of the greatest length."""

MAX_FIELDS = 100
"""Parameters in a query string. More are refused without reading them."""

DEFAULT_SIZE = 25
"""Records on a page if the request does not say (CDS 1.36.0, pagination)."""

MAX_SIZE = 1000
"""Records on the largest page (CDS 1.36.0, pagination)."""

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""Characters that a caller's text must not contain: controls and those that change the writing direction."""
