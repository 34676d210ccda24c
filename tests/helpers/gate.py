"""What tests of the gate share."""

from __future__ import annotations

from helpers.people import BALANCE
from helpers.support import World
from helpers.tokens import Mint

CHALLENGE = 'Bearer realm="127.0.0.1"'
INVALID_TOKEN = f'{CHALLENGE}, error="invalid_token"'


def mint_of(world: World, path: str = BALANCE) -> Mint:
    return Mint(world.signer, world.url, path)
