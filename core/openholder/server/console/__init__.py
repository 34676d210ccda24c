"""The console: one page on the admin listener that shows an operator the running server, and changes nothing."""
