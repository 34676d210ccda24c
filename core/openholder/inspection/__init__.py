"""Inspect configuration and data without serving: the work behind ``openholder check``, ``diff`` and ``columns``."""
