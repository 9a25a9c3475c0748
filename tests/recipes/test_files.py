"""Recipes in files: a loaded recipe assigns the same formats as the saved one; malformed files are refused."""

from __future__ import annotations

from pathlib import Path

import gguf as gguf_package
import pytest
import snapshots

from bitwright import formats, recipes
from bitwright.errors import BitwrightError, FileFormatError, UsageError
from bitwright.recipes import FILE_TYPES, Pattern, Recipe, Shape

SMALL = Shape("llama", layers=2, heads=8, kv_heads=8)
NAMES = [f"blk.{i}.{part}.weight" for i in range(2) for part in ("attn_q", "attn_v", "ffn_down", "attn_norm")]
TENSORS = [snapshots.Matrix(name, (256, 512), formats.get("f16")) for name in [*NAMES, "output.weight"]]
EXAMPLE = r"""
file_type = "q4_k_m"  # for tensors that no pattern matches
tensors = [           # the first pattern that matches decides
  ['^output\.weight$', 'q8_0'],
  ['blk\.0\.', "Q6_K"],
  ["blk.*attn", "q5_0"],
]
"""
# The options of the example in llama-quantize's README, and each format's name as ggml writes it.
LLAMA_CPP = "\\.(\\d*[13579])\\.attn_k=q5_k \\.(\\d*[02468])\\.attn_q=q3_k\nATTN_V=IQ4_XS\n\n  ffn_down=BF16\t\n"


def chosen(recipe: Recipe) -> dict[str, str]:
    return {a.tensor: a.format.name for a in recipe.assign(SMALL, TENSORS)}


def loaded(path: Path, text: str | bytes) -> Recipe:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return recipes.load(path)


def test_the_first_pattern_that_matches_decides(tmp_path: Path) -> None:
    found = chosen(loaded(tmp_path / "r.toml", EXAMPLE))
    assert found["output.weight"] == "q8_0" and found["blk.0.attn_q.weight"] == "q6_k"
    assert found["blk.1.attn_q.weight"] == "q5_0" and found["blk.1.ffn_down.weight"] == "q4_k"  # by the file type
    assert found["blk.0.attn_norm.weight"] == "float16"
    recipe = recipes.load(tmp_path / "r.toml")
    backwards = Recipe(recipe.patterns[::-1], recipe.file_type)
    assert chosen(backwards)["blk.0.attn_q.weight"] == "q5_0" and backwards != recipe


def test_without_a_file_type_other_tensors_keep_their_format(tmp_path: Path) -> None:
    recipe = loaded(tmp_path / "r.toml", "tensors = [['ffn_down', 'q4_k']]")
    assert recipe.base is None and set(chosen(recipe).values()) == {"q4_k", "float16"}
    assert {a.reason for a in recipe.assign(SMALL, TENSORS)} == {"pattern ffn_down", "kept as it is"}


def test_no_pattern_reaches_tensors_that_are_never_quantized() -> None:
    recipe = Recipe((Pattern(".", formats.get("q8_0")), Pattern("norm", formats.get("q8_0"))))
    assert {name for name, format in chosen(recipe).items() if format != "q8_0"} == set(NAMES[3::4])
    assert [p.regex for p in recipe.unmatched(SMALL, TENSORS)] == ["norm"]


@pytest.mark.parametrize("file_type", FILE_TYPES)
def test_a_result_that_names_every_tensor_is_a_recipe(tmp_path: Path, file_type: str) -> None:
    """The assignments of a file type are saved tensor by tensor and assigned again, in both kinds of file."""
    expected = chosen(Recipe.named(file_type))
    exact = Recipe.exact({name: formats.get(format) for name, format in expected.items()}, file_type)
    recipes.save(tmp_path / "r.toml", exact)
    assert recipes.load(tmp_path / "r.toml") == exact and chosen(exact) == expected
    recipes.write_tensor_types(tmp_path / "r.txt", exact.patterns)
    assert recipes.read_tensor_types(tmp_path / "r.txt") == exact.patterns


@pytest.mark.parametrize(
    "regex", ["attn_q", r"^blk\.(1|2)\.", "it's", 'it\'s "quoted" \\d', " a b ", "é", "A=b", "#", "]"]
)
def test_any_pattern_survives_toml(tmp_path: Path, regex: str) -> None:
    recipe = Recipe((Pattern(regex, formats.get("int4_sym_g32")), Pattern(".", formats.get("f16"))))
    recipes.save(tmp_path / "r.toml", recipe)
    assert recipes.load(tmp_path / "r.toml") == recipe == recipes.find(str(tmp_path / "r.toml"))


def test_a_saved_recipe_reads_well() -> None:
    assert recipes.dumps(Recipe((Pattern(r"^output\.weight$", formats.get("q8_0")),), "q4_k_m")) == (
        "file_type = \"q4_k_m\"\ntensors = [\n  ['^output\\.weight$', 'q8_0'],\n]\n"
    )


def test_a_tensor_type_file_of_llama_cpp(tmp_path: Path) -> None:
    (tmp_path / "types.txt").write_text(LLAMA_CPP)
    found = recipes.read_tensor_types(tmp_path / "types.txt")
    assert [(p.regex, p.format.name) for p in found] == [
        (r"\.(\d*[13579])\.attn_k", "q5_k"), (r"\.(\d*[02468])\.attn_q", "q3_k"), ("attn_v", "iq4_xs"),
        ("ffn_down", "bfloat16"),
    ]  # fmt: skip
    recipes.write_tensor_types(tmp_path / "again.txt", found)
    assert (tmp_path / "again.txt").read_text() == "".join(f"{text.lower()}\n" for text in LLAMA_CPP.split())


def test_formats_have_ggmls_names(tmp_path: Path) -> None:
    known = {kind.value: kind.name.lower() for kind in gguf_package.GGMLQuantizationType}
    written = [f for f in formats.all() if f.ggml in known]
    recipes.write_tensor_types(tmp_path / "t.txt", [Pattern("x", format) for format in written])
    assert (tmp_path / "t.txt").read_text().split() == [f"x={known[f.ggml or 0]}" for f in written]


@pytest.mark.parametrize(
    ("regex", "format", "message"),
    [("a b", "q4_0", "no spaces"), ("Attn", "q4_0", "capitals"), ("a(?=b)", "q4_0", '"="'), (" a", "q4_0", "no spaces"),
     ("a", "int4_sym_g32", "GGUF has no type for the format int4_sym_g32")],
)  # fmt: skip
def test_recipes_that_a_tensor_type_file_cannot_hold(tmp_path: Path, regex: str, format: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        recipes.write_tensor_types(tmp_path / "t.txt", [Pattern(regex, formats.get(format))])
    assert not list(tmp_path.iterdir())


HOSTILE: dict[str, tuple[str | bytes, str]] = {
    "no TOML": ("tensors = [", "expected a TOML file, got"),
    "another key": ("file_typ = 'q4_0'", "the keys file_type and tensors, got 'file_typ'"),
    "a number": ("file_type = 4", "file_type to be a string, got 4"),
    "no list": ("tensors = 'attn'", r"a list of \[pattern, format\], got 'attn'"),
    "no pair": ("tensors = [['attn']]", r"a list of \[pattern, format\], got \['attn'\]"),
    "no strings": ("tensors = [['attn', 4]]", r"a list of \[pattern, format\]"),
    "a table": ("[tensors]\nattn = 'q4_0'", r"a list of \[pattern, format\]"),
    "not UTF-8": (b"file_type = '\xff'", "byte 13: expected UTF-8"),
    "deep": ("tensors = " + "[" * 2000, "a TOML file"),
    "a long key": ("a." * 2000 + "b = 1", "lines of at most"),
    "a long number": ("file_type = " + "1" * 4999, "lines of at most"),
    "large": (b"#" * (5 << 20), "at most 4194304 bytes"),
    "unknown format": ("tensors = [['attn', 'q9_x']]", "r.toml: .*format 'q9_x'"),
    "unknown recipe": ("file_type = 'q4_x'", "r.toml: unknown recipe 'q4_x'; did you mean q4_0, q4_1, q4_k"),
    "bad pattern": ("tensors = [['attn[', 'q4_0']]", r"r.toml: 'attn\[' is not a regular expression"),
    "slow pattern": ("tensors = [['(a*)*!', 'q4_0']]", "r.toml: .* could take too long to match"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_malformed_recipes_are_refused(tmp_path: Path, name: str) -> None:
    text, message = HOSTILE[name]
    with pytest.raises((FileFormatError, UsageError), match=message):
        loaded(tmp_path / "r.toml", text)


@pytest.mark.parametrize(
    ("text", "message"),
    [("attn", "REGEX=FORMAT"), ("=q4_0", "REGEX=FORMAT"), ("attn=", "format ''"), ("attn=q9_x", "format 'q9_x'"),
     ("# a comment", "REGEX=FORMAT"), ("(a+)+=q4_0", "could take too long")],
)  # fmt: skip
def test_malformed_tensor_type_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "t.txt").write_text(text)
    with pytest.raises(UsageError, match=rf"t\.txt: .*{message}"):
        recipes.read_tensor_types(tmp_path / "t.txt")


def test_a_missing_recipe_file(tmp_path: Path) -> None:
    for path in (tmp_path / "r.toml", tmp_path):
        with pytest.raises(BitwrightError, match="cannot read"):
            recipes.load(path)
    with pytest.raises(UsageError, match=r"ends in \.toml"):
        recipes.save(tmp_path / "r.json", Recipe())
