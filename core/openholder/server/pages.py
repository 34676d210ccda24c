"""What the pages for people have in common: headers that let them load nothing else, and who may ask for them."""

from __future__ import annotations

from tornado.httputil import HTTPServerRequest

# CSP Level 3: nothing of another origin, nothing inline. Trusted Types: no text is ever parsed as HTML.
PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none';"
        " form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
"""The headers of a page and of everything that it loads."""


def is_of_another_site(request: HTTPServerRequest) -> bool:
    """Return whether a page of another site has sent a request: Fetch Metadata and Origin are browsers' own words."""
    origins = request.headers.get_list("Origin")
    sites = request.headers.get_list("Sec-Fetch-Site")  # absent outside of browsers
    own = f"http://{request.host.lower()}"
    return any(origin.lower() != own for origin in origins) or not {"same-origin", "none"}.issuperset(sites)
