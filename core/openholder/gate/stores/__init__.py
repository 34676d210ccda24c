"""The built-in replay stores, found through entry points like any other."""
