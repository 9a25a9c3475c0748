"""Calibration text that appears in the evaluation text."""

from __future__ import annotations

from bitwright.measure.overlap import RUN, overlap, sha256_of

WORDS = [f"word{n}" for n in range(400)]


def test_runs_of_thirteen_words() -> None:
    evaluation = " ".join(WORDS[:113])
    assert overlap(evaluation, " ".join(WORDS[200:])).share == 0
    assert overlap(evaluation, " ".join(WORDS[: RUN - 1])).share == 0
    found = overlap(evaluation, "before " + " ".join(WORDS[50:63]) + " after")
    assert found.runs == 101 and found.share == 1 / 101
    assert overlap(evaluation, evaluation.upper().replace(" ", ",\n")).share == 1
    assert overlap("too short", "too short").runs == 0
    assert found.evaluation_sha256 == sha256_of(evaluation) != found.calibration_sha256


def test_scripts_without_spaces_are_compared_by_characters() -> None:
    chinese, thai = "村口的老邮局只剩一位邮差，他每天走三十里山路。", "รถไฟเที่ยวสุดท้ายออกช้าไปเจ็ดนาที"
    for text in (chinese, thai):
        assert overlap(text, f"before {text} after").share == 1
    assert overlap(chinese, thai).share == 0 and overlap(chinese[:14], "").runs == 1
