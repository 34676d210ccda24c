"""Development keys: created on first use, kept beside the configuration, served on loopback; never for production."""

from __future__ import annotations

import logging
from contextlib import AbstractAsyncContextManager
from urllib.parse import urlsplit

from openholder.config import Configuration
from openholder.errors import ConfigurationError, Mistake
from openholder.fiskil.jwks_host import jwks_host
from openholder.fiskil.signer import DEVELOPMENT_KEY, Signer
from openholder.fiskil.stand_in import Target, stand_in
from openholder.server.generation import list_operations
from openholder.setting_types import is_loopback

log = logging.getLogger("openholder")


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


def development_stand_in(
    configuration: Configuration, signer: Signer, host: str, port: int
) -> AbstractAsyncContextManager[str]:
    """Stand in for Fiskil at the host and port of the configured JWKS URL for the duration of the block.

    Args:
        configuration: What the server is started with.
        signer: The signer of the configuration.
        host: The address at which the server listens.
        port: Its port.
    """
    settings = configuration.settings
    public_url, issuer = settings.public_url[0], settings.fiskil.issuer[0]
    target = Target.listening_on(host, port, public_url, issuer, settings.listen.tls_certificate)
    return stand_in(settings.fiskil.jwks_url, signer, target, list_operations(settings))


def warn_of_development_keys(configuration: Configuration, page: str) -> None:
    """Log what nobody may forget while the stand-in runs, whose page is at the URL ``page``."""
    address = configuration.settings.listen.address
    key = configuration.path.with_name(DEVELOPMENT_KEY).absolute()
    log.warning("--dev: whoever can read %s signs tokens that this server accepts; not for production", key)
    log.warning("--dev: everybody on this machine can request all data at %s; not with real data", page)
    if not is_loopback(address):
        log.critical(
            "--dev on %s: other machines can reach this server; never with real data", address or "all addresses"
        )
