"""Fuzz the gate with tokens and key sets, guided by coverage (atheris, which is libFuzzer).

    pip install atheris
    python bench/fuzz_gate.py -max_total_time=60

It starts with valid inputs in a new temporary folder, or with those in the folder given as an argument. An input that
fails is written to ``crash-*`` in the current folder; to reproduce it, give that file as an argument. Keys differ from
run to run, so a token reproduces a failure only if its signature does not matter; headers and claims are signed again.
"""

from __future__ import annotations

import json
import logging
import sys
import tempfile
from pathlib import Path

import atheris

TESTS = Path(__file__).parents[1] / "tests"
sys.path[:0] = [str(TESTS), str(TESTS / "gate")]

with atheris.instrument_imports(include=["openholder", "json"]):
    import test_fuzz


def run_input(door: test_fuzz.Door, data: bytes) -> None:
    """Run one input. Its first byte says what follows: a token, a header or claims to sign, or a key set."""
    kind, rest = data[:1], data[1:]
    if kind == b"h":
        door.judge(door.mint.sign(rest, door.mint.claims()))
    elif kind == b"c":
        door.judge(door.mint.sign(door.mint.header(), rest))
    elif kind == b"k":
        test_fuzz.read(rest)
    else:
        door.judge(rest.decode("latin-1"))


def write_seeds(door: test_fuzz.Door) -> str:
    """Write one valid input of each kind to a new folder, and return the folder."""
    folder = Path(tempfile.mkdtemp(prefix="openholder-fuzz-"))
    header, claims = (json.dumps(part).encode() for part in (door.mint.header(), door.mint.claims()))
    inputs = [b"h" + header, b"c" + claims, b"k" + door.signer.jwks(), b"t" + door.good.encode()]
    for number, data in enumerate(inputs):
        (folder / f"seed-{number}").write_bytes(data)
    return str(folder)


def main() -> None:
    """Fuzz until a limit of libFuzzer (``-runs``, ``-max_total_time``) is reached."""
    logging.disable()
    door = test_fuzz.Door()
    arguments = (
        sys.argv if any(not argument.startswith("-") for argument in sys.argv[1:]) else [*sys.argv, write_seeds(door)]
    )
    atheris.Setup(arguments, lambda data: run_input(door, data))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
