"""The text that models are measured on if the user gives none: prose in English, German and French, and code.

It has 53 documents, which were unpublished until November 2026. data/README.md says where it is from.
It shares no run of 8 words with the default calibration mix.
"""

from __future__ import annotations

from importlib import resources

from bitwright.errors import BitwrightError
from bitwright.measure.overlap import sha256_of

LICENCE = "Apache-2.0"
SHA256 = "3ea568048666bc64c4d911306dc1f41a758f788705e503ceae761819e0daf386"


def read() -> str:
    """The text. BitwrightError if the file is not the published one: figures on it could not be compared."""
    text = (resources.files(__package__) / "data/text.txt").read_bytes().decode("utf-8", "replace")
    if sha256_of(text) != SHA256:
        raise BitwrightError(
            f"the standard text is damaged: expected SHA-256 {SHA256}, got {sha256_of(text)}; reinstall"
        )
    return text
