"""Sources for the tests of the contract kit: one that is right, and many that are each wrong in one way."""
