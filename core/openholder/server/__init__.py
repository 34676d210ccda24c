"""The process: listeners, generations of sources, logging, and how they start and stop."""
