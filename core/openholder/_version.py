"""The version of the distribution, read by setup.cfg and shown by ``openholder --version``."""

__version__ = "0.2.0"
