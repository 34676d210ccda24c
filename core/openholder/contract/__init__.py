"""The contract with Fiskil and the standards: operations, parameters, records, limits, errors. No I/O."""
