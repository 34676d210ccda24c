"""What Fiskil and the standards say: operations, parameters, records, limits and errors. No I/O, no configuration."""
