"""The built-in records of used tokens, found through entry points like anybody else's."""
