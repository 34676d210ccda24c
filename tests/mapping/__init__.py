"""What the words of a mapping mean."""
