"""Data sources: the hooks they implement, how they are found, and who answers for which collection."""
