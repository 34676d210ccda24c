"""One request: from the bytes that Tornado parsed to the bytes that answer it."""
