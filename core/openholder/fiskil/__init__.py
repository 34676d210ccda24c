"""The other side, for rehearsal and demo: a signer, a host for its keys, and a caller.

A stand-in written from the public contract. It is not Fiskil's software and not affiliated with Fiskil.
"""
