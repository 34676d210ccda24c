"""Sources for the tests of the contract kit: a correct one, and many with one fault each."""
