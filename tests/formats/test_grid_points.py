"""ggml's constant tables against the `gguf` package's, and their checksums."""

from __future__ import annotations

import hashlib

import gguf
import numpy as np
import pytest

from bitwright.formats import codebook, grids
from bitwright.formats.grid_points import GRIDS
from bitwright.io import gguf_parse

SHA256 = {  # CRC-32 of the points as int8, in order
    "iq2_xxs": "05826b5d3e472a3a78f196be62ac78acf81df0f909626e12ab9fa2a5d490dd54",
    "iq2_xs": "06e47aaca60b4dc1d9b5a3f34540437058a6b142b4d7a59d5ded769b4d1bf1de",
    "iq2_s": "e1aa1473412b0552c2174c30ef22ab4073f6a181b85a17056e8249bd2932fd88",
    "iq3_xxs": "46e35f5a997efdee6c99ce57854c8a0d4f0ff8ca57e5e8a60c0793ea580acf5d",
    "iq3_s": "bd1af4945a1717c65610b0284e4628b9a1ba3b306fae3a06f6e5f597356e349f",
    "iq1": "07540ffc1aeaf6ad4d97e96b0fcc765aae39671d4ae4a27bbd0e796fde167c6a",
}


@pytest.mark.parametrize("name", GRIDS)
def test_a_grid_equals_the_gguf_packages(name: str) -> None:
    theirs = getattr(gguf.quants, "IQ1_S" if name == "iq1" else name.upper())
    theirs.init_grid()
    ours = grids.grid(name)
    assert ours.dtype == np.int8 and ours.shape == theirs.grid_shape
    np.testing.assert_array_equal(ours, theirs.grid.reshape(theirs.grid_shape))
    assert hashlib.sha256(ours.tobytes()).hexdigest() == SHA256[name]


def test_signs_and_values_equal_the_gguf_packages() -> None:
    negative = np.unpackbits(np.frombuffer(gguf.quants.IQ2_XXS.ksigns, np.uint8)[:, None], axis=1, bitorder="little")
    np.testing.assert_array_equal(grids.even_signs(), 1 - 2 * negative.astype(np.int8))
    assert tuple(gguf.quants.IQ4_NL.kvalues) == codebook.VALUES


def test_types_without_a_format_have_ggmls_names() -> None:
    assert gguf_parse.UNDECODED.items() <= {kind.value: kind.name for kind in gguf.GGMLQuantizationType}.items()
