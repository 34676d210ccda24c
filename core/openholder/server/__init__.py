"""The process: configuration, listeners, generations of sources, and how they begin and end."""
