"""`bitwright modelfile`."""

from __future__ import annotations


def test_a_modelfile(bitwright, smollm2, tmp_path) -> None:
    """As printed and as written, in the folder of the file."""
    printed = bitwright("modelfile", smollm2, "-c", "2k").out
    assert printed.startswith(f'FROM ./{smollm2.name}\nTEMPLATE """{{{{ if .System }}}}<|im_start|>system\n')
    assert 'PARAMETER stop """<|im_end|>"""\n' in printed
    assert printed.endswith('PARAMETER num_ctx 2048\nLICENSE """apache-2.0"""\n')
    assert bitwright("modelfile", smollm2, "-c", "2k", "-o", tmp_path / "Modelfile").out == ""
    assert (tmp_path / "Modelfile").read_text() == printed
    refused = bitwright("modelfile", smollm2, "-c", "1m")
    assert refused.code == 2 and "was trained on 8192 tokens" in refused.err
    over = bitwright("modelfile", smollm2, "-o", smollm2)
    assert over.code and smollm2.read_bytes()[:4] == b"GGUF"


def test_a_file_without_a_chat_template(bitwright, stories260k) -> None:
    outcome = bitwright("modelfile", stories260k)
    assert outcome.code == 0 and outcome.out.startswith(f"FROM ./{stories260k.name}\n")
    assert "TEMPLATE" not in outcome.out and "no TEMPLATE" in outcome.err
