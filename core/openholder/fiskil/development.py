"""Development keys: created on first use, kept beside the configuration, served on loopback; never for production."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from urllib.parse import urlsplit

from openholder.config import Configuration
from openholder.errors import ConfigurationError, Mistake
from openholder.fiskil.jwks_host import jwks_host
from openholder.fiskil.signer import DEVELOPMENT_KEY, Signer
from openholder.setting_types import is_loopback


def load_development_signer(configuration: Configuration) -> Signer:
    """Load the signer of a configuration. Raises `ConfigurationError` if its JWKS URL is not on loopback."""
    if not is_loopback(urlsplit(configuration.settings.fiskil.jwks_url).hostname):
        message = "not on this machine; development keys need a JWKS URL on a loopback address"
        raise ConfigurationError([Mistake(str(configuration.path), "fiskil.jwks_url", message)])
    try:
        return Signer.load_or_generate(configuration.path.parent / DEVELOPMENT_KEY)
    except (OSError, ValueError) as exc:
        message = f"cannot keep {DEVELOPMENT_KEY} beside it: {type(exc).__name__}"
        raise ConfigurationError([Mistake(str(configuration.path), "", message)]) from exc


def development_keys(configuration: Configuration) -> AbstractAsyncContextManager[None]:
    """Serve the development key at the configured JWKS URL for the duration of the block."""
    signer = load_development_signer(configuration)
    return jwks_host(configuration.settings.fiskil.jwks_url, signer.jwks)
