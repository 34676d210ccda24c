"""Example configurations, shipped as data. There is no code here."""
