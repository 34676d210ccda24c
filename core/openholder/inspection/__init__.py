"""Checking configuration and data before and beside serving: what `openholder check` and `diff` look at."""
