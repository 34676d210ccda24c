"""Look for tokens and key sets that the gate has no answer to, led by coverage (atheris, which is libFuzzer).

    pip install atheris
    python bench/fuzz_gate.py -max_total_time=60

It begins with good inputs in a new temporary folder, or with those in the folder that is its argument. What it finds
is written to ``crash-*`` in the current folder; give it that file as an argument to see it again. Keys differ from run
to run, so that a token is found again only where its signature does not matter; headers and claims are signed anew.
"""

from __future__ import annotations

import json
import logging
import sys
import tempfile
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

with atheris.instrument_imports(include=["openholder", "json"]):
    import test_fuzz


def target(door: test_fuzz.Door, data: bytes) -> None:
    """The first byte says what the others are: a token, a header or claims to be signed, or a key set."""
    kind, rest = data[:1], data[1:]
    if kind == b"h":
        door.judge(door.mint.sign(rest, door.mint.claims()))
    elif kind == b"c":
        door.judge(door.mint.sign(door.mint.header(), rest))
    elif kind == b"k":
        test_fuzz.read(rest)
    else:
        door.judge(rest.decode("latin-1"))


def seeds(door: test_fuzz.Door) -> str:
    """A new folder with one good input of each kind."""
    folder = Path(tempfile.mkdtemp(prefix="openholder-fuzz-"))
    header, claims = (json.dumps(part).encode() for part in (door.mint.header(), door.mint.claims()))
    inputs = [b"h" + header, b"c" + claims, b"k" + door.signer.jwks(), b"t" + door.good.encode()]
    for number, data in enumerate(inputs):
        (folder / f"seed-{number}").write_bytes(data)
    return str(folder)


def main() -> None:
    """Fuzz until libFuzzer's own limits (``-runs``, ``-max_total_time``) are reached."""
    logging.disable()
    door = test_fuzz.Door()
    arguments = sys.argv if any(not argument.startswith("-") for argument in sys.argv[1:]) else [*sys.argv, seeds(door)]
    atheris.Setup(arguments, lambda data: target(door, data))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
