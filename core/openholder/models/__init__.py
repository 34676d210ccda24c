"""What leaves the server: one typed record a collection, a module a sector, and how rows become records."""
