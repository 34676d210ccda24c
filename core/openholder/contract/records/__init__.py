"""The typed records that leave the server, a module a sector."""
