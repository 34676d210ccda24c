"""Keys for development: made on first use, kept beside the configuration, served on loopback, never for production."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from urllib.parse import urlsplit

from openholder.config import Configuration
from openholder.errors import ConfigurationError, Mistake
from openholder.fiskil.jwks_host import jwks_host
from openholder.fiskil.signer import DEVELOPMENT_KEY, Signer
from openholder.settings import is_loopback


def development_signer(configuration: Configuration) -> Signer:
    """The signer of this configuration. Raises `ConfigurationError` where the keys are somebody else's."""
    if not is_loopback(urlsplit(configuration.settings.fiskil.jwks_url).hostname):
        message = "is not on this machine: development keys are only for a JWKS URL on loopback"
        raise ConfigurationError([Mistake(str(configuration.path), "fiskil.jwks_url", message)])
    try:
        return Signer.kept_in(configuration.path.parent / DEVELOPMENT_KEY)
    except (OSError, ValueError) as exc:
        message = f"development keys cannot be kept beside it: {type(exc).__name__}"
        raise ConfigurationError([Mistake(str(configuration.path), "", message)]) from exc


def development_keys(configuration: Configuration) -> AbstractAsyncContextManager[None]:
    """Serve the development key at the configured JWKS URL as long as the block runs."""
    signer = development_signer(configuration)
    return jwks_host(configuration.settings.fiskil.jwks_url, signer.jwks)
