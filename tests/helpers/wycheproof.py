"""Where the Wycheproof vectors are, and the mark of the tests that need them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

VECTORS = Path(
    os.environ.get("WYCHEPROOF_VECTORS") or Path(__file__).parents[3] / "shared" / "security" / "vectors"
).absolute()
"""The folder ``testvectors_v1`` of github.com/C2SP/wycheproof at dac1dd4, for which the tests list exceptions."""

needs_vectors = pytest.mark.skipif(
    not (VECTORS / "json_web_signature_test.json").is_file(),
    reason="the Wycheproof vectors (1.3 MB, Apache-2.0) are not part of the checkout; to run these tests, clone "
    "github.com/C2SP/wycheproof at dac1dd4 and set WYCHEPROOF_VECTORS to its folder testvectors_v1",
)
