"""Fiskil's side, for development and the rehearsal: a token signer, a host for its key set, and sample data.

Written from the public documentation. It is not Fiskil's software, and not affiliated with Fiskil.
"""
