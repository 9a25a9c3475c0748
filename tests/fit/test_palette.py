"""The palette of tensors in formats: what is kept, under which key, and what happens to damaged files."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from bitwright import formats, kernels, system
from bitwright.errors import BitwrightError
from bitwright.fit.families import FAMILIES
from bitwright.fit.keys import ENCODERS
from bitwright.fit.palette import Palette
from bitwright.io import gguf
from bitwright.kernels import encoders
from bitwright.quantizers import Quantizer
from bitwright.quantizers.feedback import ROUNDS, damped
from tests import synthetic_model
from tests.fit.palettes import ALL, COLUMNS, F4, NAMES, Q4, Q5, built, gathered, written


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> gguf.GGUF:
    return written(tmp_path_factory.mktemp("model") / "model.gguf")


@pytest.fixture
def palette(model: gguf.GGUF, tmp_path: Path) -> Palette:
    return Palette(model, Quantizer(None, 0, gathered(), 1), tmp_path)


@pytest.mark.parametrize(("name", "format"), ALL, ids=str)
def test_bytes_are_those_of_the_quantizer(palette, model, name, format) -> None:
    found = palette.tensor(name, format)
    expected = palette.quantizer.quantize(model.tensor(name), format)
    assert np.array_equal(found.data, expected.data) and found.format is format and found.shape == (32, COLUMNS)
    assert not found.data.flags.writeable


def test_a_second_palette_reads_from_disk(palette, model, tmp_path, monkeypatch) -> None:
    palette.build(ALL)
    size = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert palette.bytes == size and len(list(tmp_path.iterdir())) == len(ALL)
    again, names = Palette(model, Quantizer(None, 0, gathered(), 1), tmp_path), built(monkeypatch)
    assert all(again.has(*pair) for pair in ALL)
    again.build(ALL)
    assert [again.objective(*pair) for pair in ALL] == [palette.objective(*pair) for pair in ALL]
    for pair in ALL:
        assert np.array_equal(again.tensor(*pair).data, palette.tensor(*pair).data)
    assert names == []
    palette.remove()
    assert list(tmp_path.iterdir()) == [] and not again.has(*ALL[0])


def test_one_place_in_memory(palette) -> None:
    first, second = palette.tensor(NAMES[0], Q4), palette.tensor(NAMES[0], Q4)
    place = first.data.ctypes.data
    assert second.data.ctypes.data == place
    rows = first.data[3:]
    del first, second
    assert palette.tensor(NAMES[0], Q4).data.ctypes.data == place
    del rows
    assert len(palette._mapped) == 0  # nothing stays open that nobody holds


def test_a_tensor_in_its_own_format_stays_in_the_model(palette, model) -> None:
    norm = model.tensor("blk.0.attn_norm.weight")
    found = palette.tensor(norm.name, norm.format)
    assert found.data.ctypes.data == norm.data.ctypes.data
    assert palette.has(norm.name, norm.format) and palette.objective(norm.name, norm.format) == 0 == palette.bytes


@pytest.mark.parametrize(
    ("name", "change", "same"),
    [
        (NAMES[0], {"statistics": gathered(1)}, False),
        (NAMES[0], {"statistics": gathered(0, 10)}, False),  # fewer tokens: more damping
        (NAMES[0], {"statistics": None}, False),
        (NAMES[0], {"effort": 1}, False),
        (NAMES[0], {"method": "rtn"}, False),
        (NAMES[2], {"statistics": gathered(1)}, False),  # searched by importance
        (NAMES[2], {"effort": 1}, True),  # which search has not
        (NAMES[0], {"threads": 2}, True),
    ],
)
def test_what_makes_another_entry(palette, model, tmp_path, name, change, same) -> None:
    palette.tensor(name, Q4)
    other = Palette(model, dataclasses.replace(palette.quantizer, **change), tmp_path)
    assert other.has(name, Q4) is same and not other.has(name, Q5)


def test_models_share_equal_tensors(palette, tmp_path) -> None:
    palette.tensor(NAMES[0], Q4)
    folder = tmp_path / "other"
    folder.mkdir()
    assert Palette(written(folder / "same.gguf"), palette.quantizer, tmp_path).has(NAMES[0], Q4)
    assert not Palette(written(folder / "other.gguf", 1), palette.quantizer, tmp_path).has(NAMES[0], Q4)


@pytest.mark.parametrize("pair", ALL, ids=str)
def test_the_objective_is_that_of_the_decoded_bytes(palette, model, pair) -> None:
    name, format = pair
    error = (model.tensor(name).dequantize() - palette.tensor(name, format).dequantize()).astype(np.float64)
    statistics = palette.quantizer.statistics
    weight = np.diag(statistics.importance(name)[0].astype(np.float64))
    if name in statistics.moments[0].weights:
        weight = statistics.hessian(name)[0].astype(np.float64)
        weight += np.eye(COLUMNS) * weight.diagonal().mean() * max(0.01, COLUMNS / 4000)  # the damping
    assert palette.objective(*pair) == pytest.approx(np.trace(error @ weight @ error.T), rel=1e-4)


def spoiled(data: bytes, how: str) -> bytes:
    changed = bytearray(data)
    if how in ("a byte", "objective"):
        changed[-5 if how == "a byte" else 50] ^= 1
    others = {"empty": b"", "short": data[:-7], "long": data + b"x", "foreign": os.urandom(len(data))}
    return others.get(how, bytes(changed))


@pytest.mark.parametrize("how", ["empty", "short", "long", "foreign", "a byte", "objective"])
def test_damaged_files_are_built_anew(palette, model, tmp_path, how) -> None:
    expected, objective = palette.tensor(NAMES[0], Q4).data.tobytes(), palette.objective(NAMES[0], Q4)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    path.write_bytes(spoiled(whole, how))
    again = Palette(model, palette.quantizer, tmp_path)
    assert again.tensor(NAMES[0], Q4).data.tobytes() == expected
    assert again.objective(NAMES[0], Q4) == objective
    assert path.read_bytes() == whole


def test_an_entry_under_another_name_is_not_taken(palette, model, tmp_path) -> None:
    palette.build([(NAMES[0], Q4), (NAMES[1], Q4)])
    paths = list(tmp_path.iterdir())
    paths[0].write_bytes(paths[1].read_bytes())
    again = Palette(model, palette.quantizer, tmp_path)
    assert [again.has(name, Q4) for name in NAMES[:2]].count(True) == 1


def test_build_reads_shared_moments_once_and_reports(palette, model) -> None:
    read = []
    moment = palette.quantizer.statistics.moments[0]
    counted = dataclasses.replace(moment, packed=lambda: read.append(1) or moment.packed())
    statistics = dataclasses.replace(palette.quantizer.statistics, moments=(counted,))
    other = Palette(model, Quantizer(None, 0, statistics, 1), palette.folder)
    reports = []
    other.build(reversed(ALL), lambda done, total, note: reports.append((done, total, note)))
    assert len(read) == 2  # for the key, and for the encoder
    assert [note for _, _, note in reports] == [name for name in NAMES for _ in range(4)]
    assert reports[0][0] == 0 and reports[-1][0] < reports[-1][1]


def test_a_full_disk_is_one_line(palette, monkeypatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(system, "rename", full)
    with pytest.raises(BitwrightError, match=r"no room for blk.0.attn_q.weight in q4_0: .* is full; free some"):
        palette.tensor(NAMES[0], Q4)
    assert list(palette.folder.iterdir()) == []


def test_memory_holds_one_tensor(tmp_path) -> None:
    rng = np.random.default_rng(0)
    weights = {f"blk.{i}.ffn_up.weight": rng.standard_normal((512, COLUMNS)) for i in range(8)}
    model = gguf.open(synthetic_model.write(tmp_path / "m.gguf", synthetic_model.metadata_of("llama"), weights, "f16"))
    palette = Palette(model, Quantizer(None, 0, None, 1), tmp_path)
    tracemalloc.start()
    palette.build([(name, format) for name in weights for format in (Q4, F4)])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * 4 * 512 * COLUMNS


def test_seconds_follow_what_was_built(palette) -> None:
    before = palette.seconds(NAMES[0], Q4)
    palette._worked, palette._seconds = 1.0, 100.0
    assert 0 < before < palette.seconds(NAMES[0], Q4)
    palette.tensor(NAMES[0], Q4)
    assert palette.seconds(NAMES[0], Q4) == 0


def test_the_version_of_the_encoders() -> None:
    """When an encoder chooses other codes, raise `keys.ENCODERS` and put the new digest here: entries that the old
    one wrote must not be found any more."""
    rng = np.random.default_rng(0)
    values = (rng.integers(-(1 << 12), 1 << 12, (4, COLUMNS)) / 1024).astype(np.float32)
    places = np.arange(COLUMNS)
    hessian = damped(0.5 ** np.minimum(abs(places[:, None] - places), 20), 1000)
    digest = hashlib.sha256(repr(ROUNDS).encode())
    for name in (name for family in FAMILIES.values() for name in family):
        digest.update(kernels.feedback(formats.get(name), values, hessian, 1)[0].data)
        for method in encoders.METHODS:
            digest.update(kernels.quantize(formats.get(name), values, method=method).data)
    assert (ENCODERS, digest.hexdigest()[:16]) == (1, "2a8bf61f57415ecb")
