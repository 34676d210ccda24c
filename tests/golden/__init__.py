"""Messages that users read, side by side."""
