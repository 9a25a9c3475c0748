"""A verb never writes over a file that it reads, and says so before any work."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from cli.support import COMMAND

from bitwright import formats
from bitwright.io import gguf


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with a model, a reference, a text, statistics, a recipe and links to some of them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BITWRIGHT_CACHE", str(tmp_path / "cache"))
    for name in ("m", "ref"):
        model(tmp_path / f"{name}.gguf", name)
    for name in ("t.html", "s.gguf", "r.toml"):
        (tmp_path / name).write_text(name)
    os.link("m.gguf", "hard.gguf")
    Path("link.gguf").symlink_to("m.gguf")
    return tmp_path


def model(path: Path, content: str = "", **metadata: int) -> None:
    """A GGUF file with one tensor, named after its path, of which `content` makes the bytes."""
    data = content.encode().ljust(128, b"\0")
    more = {key.replace("_", "."): gguf.Typed(value, "uint16") for key, value in metadata.items()}
    gguf.write(path, more, [(path.stem, (32,), formats.get("f32"), lambda: data)])


@pytest.mark.parametrize(
    "line",
    [
        "calibrate m.gguf -f t.html -o m.gguf",
        "calibrate m.gguf -f t.html -o t.html",
        "calibrate m.gguf -f t.html -o hard.gguf",
        "calibrate m.gguf -f t.html -o link.gguf",
        "calibrate link.gguf -f t.html -o ./m.gguf",
        "quantize m.gguf --to q8_0 -o m.gguf",
        "quantize m.gguf --to q8_0 --stats s.gguf -o s.gguf",
        "quantize m.gguf --to r.toml -o r.toml",
        "quantize m.gguf --to q8_0 --tensor-type-file r.toml -o r.toml",
        "eval m.gguf --reference ref.gguf -f t.html -o t.html",
        "eval m.gguf --reference ref.gguf -f s.gguf --calibration t.html -o t.html",
        "eval m.gguf -f t.html --kl-divergence-base m.gguf",
        "eval m.gguf -f t.html --kl-divergence-base t.html",
        "compare m.gguf --reference ref.gguf -f t.html -o t.html",
        "label m.gguf --reference ref.gguf -f t.html -o ref.gguf",
        "label m.gguf --reference ref.gguf -f t.html -o t.html",
        "label m.gguf --reference ref.gguf -f t.html --card t.html",
    ],
)
def test_an_output_that_is_an_input_is_refused(bitwright, folder, line) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    outcome = bitwright(*line.split())
    assert outcome.code == 2 and outcome.out == ""
    assert "the same command reads that file" in outcome.err and outcome.err.count("\n") == 1
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("outputs", ["-o new.gguf --card ./new.gguf", "--card m.gguf", "--card link.gguf"])
def test_a_card_is_not_written_over_the_labelled_model(bitwright, folder, outputs) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    outcome = bitwright("label", "m.gguf", "--reference", "ref.gguf", "-f", "t.html", *outputs.split())
    assert outcome.code == 2 and outcome.err.count("\n") == 1
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert "is the labelled model itself" in outcome.err or "the same command reads that file" in outcome.err


def test_every_option_that_writes_is_known_as_one() -> None:
    import typer.main

    from bitwright.cli.app import app
    from bitwright.cli.begin import OUTPUTS

    found = set()
    for command in typer.main.get_command(app).commands.values():  # type: ignore[attr-defined]
        for option in command.params:
            if option.metavar == "FILE" and "write" in (getattr(option, "help", None) or "").lower().split():
                found.add(option.name)
    assert found == set(OUTPUTS)


def test_a_text_on_standard_input_is_an_input(folder) -> None:
    command = [*COMMAND, "eval", "m.gguf", "-f", "-", "--kl-divergence-base", "t.html"]
    with Path("t.html").open("rb") as stdin:
        done = subprocess.run(command, stdin=stdin, capture_output=True, text=True)
    assert done.returncode == 2 and "reads that file as standard input" in done.stderr
    assert (folder / "t.html").read_text() == "t.html"


@pytest.mark.parametrize("part", [1, 2])
def test_parts_and_models_in_a_folder_are_inputs(bitwright, folder, part) -> None:
    (folder / "split").mkdir()
    for number in (1, 2):
        model(folder / f"split/m-0000{number}-of-00002.gguf", split_no=number - 1, split_count=2)
    own = folder / f"split/m-0000{part}-of-00002.gguf"
    before = own.read_bytes()
    outcome = bitwright("quantize", "split", "--to", "q8_0", "-o", own)
    assert outcome.code == 2 and "the same command reads that file" in outcome.err
    assert own.read_bytes() == before


def test_a_label_is_not_written_over_one_part_of_a_model(bitwright, folder) -> None:
    first, second = (folder / f"m-0000{number}-of-00002.gguf" for number in (1, 2))
    model(first, split_no=0, split_count=2)
    model(second, split_no=1, split_count=2)
    outcome = bitwright("label", first, "--reference", "ref.gguf", "-f", "t.html")
    assert outcome.code == 2 and "one of 2 parts" in outcome.err and "-o FILE" in outcome.err
    assert bitwright("label", first, "--reference", "ref.gguf", "-f", "t.html", "-o", second).code == 2


def test_the_cache_of_the_hub_stays_as_it_was_downloaded(bitwright, folder) -> None:
    stored = folder / "hub/models--a--b/blobs/0123"
    model(Path("new.gguf"))
    stored.parent.mkdir(parents=True)
    Path("new.gguf").rename(stored)
    snapshot = folder / "hub/models--a--b/snapshots/main"
    snapshot.mkdir(parents=True)
    (snapshot / "x.gguf").symlink_to("../../blobs/0123")
    Path("mine.gguf").symlink_to(snapshot / "x.gguf")
    before = stored.read_bytes()
    for output in ([], ["-o", "mine.gguf"]):
        outcome = bitwright("label", "mine.gguf", "--reference", "ref.gguf", "-f", "t.html", *output)
        assert outcome.code == 2 and "name another output" in outcome.err
    other = bitwright("quantize", "m.gguf", "--to", "q8_0", "-o", snapshot / "x.gguf")
    assert other.code == 2 and "Hugging Face cache" in other.err
    assert stored.read_bytes() == before


def test_a_downloaded_model_is_labelled_into_a_new_file(bitwright, folder, monkeypatch) -> None:
    from bitwright.io import hub

    monkeypatch.setattr(hub, "resolve", lambda *_, **__: folder / "m.gguf")
    outcome = bitwright("label", "smollm2-135m", "--reference", "ref.gguf", "-f", "t.html")
    assert outcome.code == 2 and "name an output: -o FILE" in outcome.err


def test_an_unfinished_calibration_removes_only_its_own_files(tmp_path) -> None:
    from bitwright.calibration.partial import Partial

    kept = Partial(tmp_path / "out.gguf", "key")
    kept.of(0).save([], 1)
    (kept.folder / "m.gguf").write_text("the user's")
    kept.remove()
    assert [path.name for path in kept.folder.iterdir()] == ["m.gguf"]
    (kept.folder / "m.gguf").unlink()
    (kept.folder / ".bitwright-0.part").write_text("of a killed run")
    kept.remove()
    assert not kept.folder.exists()
    kept.remove()
