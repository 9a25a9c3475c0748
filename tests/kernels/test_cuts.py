"""Steps cut at layer borders: their parts give the same bits as the whole."""

from __future__ import annotations

import numpy as np
import pytest
from random_models import MODELS, random_model, stored
from running import Running

from bitwright import formats
from bitwright.errors import BitwrightError, UsageError
from bitwright.formats import QuantizedTensor
from bitwright.kernels import Executor, Memory, Oracle, Program, Step, WeightBank, tiers
from bitwright.kernels import program as program_module

LAYERS = 4
TOKENS = np.random.default_rng(4).integers(0, 101, 90)


def whole(name: str, tier: str | None = None, batch: int = 90) -> Running:
    step, weights = random_model(**MODELS[name] | {"layers": LAYERS})
    return Running(step, stored(weights), context=100, batch=batch, threads=2, tier=tier)


@pytest.mark.parametrize("tier", tiers())
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("at", [1, 3])
def test_two_parts_equal_the_whole_to_the_bit(name: str, at: int, tier: str) -> None:
    own = whole(name, tier)
    n, outputs = np.arange(90), [3, 88, 89, 3]
    expected = own.run(TOKENS, n, 0 * n, outputs)
    memory = Memory(own.program.layers, 100, batch=90)
    below, above = own.program.cut(end=at), own.program.cut(at)
    packed = own.bank.bytes
    hidden = Executor(below, 90, 2).run(memory, TOKENS, n, 0 * n, [])
    memory.drop(0)  # the layers above read the same positions for the first time
    resumed = Executor(above, 90, 2)
    again = Memory(own.program.layers, 100, batch=90)
    assert np.array_equal(resumed.run(again, TOKENS, n, 0 * n, outputs, hidden), expected)
    assert own.bank.bytes == packed


@pytest.mark.parametrize("name", ["llama", "gemma"])
def test_a_resumed_layer_sees_the_memory_of_earlier_steps(name: str) -> None:
    """A prompt, then single tokens, resumed from the input of layer 2 as the search for formats does."""
    own = whole(name)
    n = np.arange(60)
    below, above = Executor(own.program.cut(end=2), 90, 2), Executor(own.program.cut(2), 90, 2)
    first, second = (Memory(own.program.layers, 100, batch=90) for _ in range(2))
    for part in (slice(0, 50), *(slice(i, i + 1) for i in range(50, 60))):
        where = n[part]
        expected = own.run(TOKENS[part], where, 0 * where, [len(where) - 1])
        hidden = below.run(first, TOKENS[part], where, 0 * where, [])
        assert np.array_equal(above.run(second, TOKENS[part], where, 0 * where, [len(where) - 1], hidden), expected)


def test_without_its_head_a_program_returns_what_the_head_multiplies() -> None:
    own, n, outputs = whole("llama"), np.arange(90), [3, 88, 89, 3]
    head = own.program.weights[own.program.step.ops[-1].weights[0]].dequantize().astype(np.float64)
    packed = own.bank.bytes
    memory = Memory(own.program.layers, 100, batch=90)
    hidden = Executor(own.program.headless(), 90, 2).run(memory, TOKENS, n, 0 * n, outputs).astype(np.float64)
    bound = head.shape[1] * 2.0**-24 * (np.abs(hidden) @ np.abs(head.T))  # of a sum of products in float32
    assert (np.abs(hidden @ head.T - own.run(TOKENS, n, 0 * n, outputs)) <= bound).all()
    assert own.bank.bytes == packed


def test_a_middle_part_and_batches() -> None:
    own, n = whole("gemma"), np.arange(90)
    memories = [Memory(own.program.layers, 100, batch=90) for _ in range(3)]
    x = Executor(own.program.cut(end=1), 90, 2).run(memories[0], TOKENS, n, 0 * n, [])
    x = Executor(own.program.cut(1, 3), 20, 2).run(memories[1], TOKENS, n, 0 * n, [], x)
    assert len(x) == 90
    got = Executor(own.program.cut(3), 90, 2).run(memories[2], TOKENS, n, 0 * n, [89, 0], x)
    assert np.array_equal(got, own.run(TOKENS, n, 0 * n, [89, 0]))


def test_parts_agree_with_the_oracle() -> None:
    step, weights = random_model(layers=3)
    n = np.arange(20)
    expected = Oracle(step, weights).run(TOKENS[:20], n, 0 * n, n)
    tensors = stored(weights)
    hidden = Oracle(step.cut(0, 2, tensors), weights).run(TOKENS[:20], n, 0 * n, [])
    assert np.array_equal(Oracle(step.cut(2, None, tensors), weights).run(TOKENS[:20], n, 0 * n, n, hidden), expected)


def test_a_tensor_is_replaced_in_a_part() -> None:
    """Layers keep their numbers in the whole, so the part still runs with its Memory."""
    own, n = whole("llama"), np.arange(20)
    below, above = own.program.cut(end=2), own.program.cut(2)
    hidden = Executor(below, 90, 2).run(Memory(own.program.layers, 100, batch=90), TOKENS[:20], n, 0 * n, [])
    changed = {"3.up": stored({"3.up": -own.program.weights["3.up"].dequantize()})["3.up"]}
    got = Executor(above.replace(changed), 90, 2).run(own.memory, TOKENS[:20], n, 0 * n, [19], hidden)
    again = Running(own.program.step, dict(own.program.weights) | changed, context=100, batch=90, threads=2)
    assert np.array_equal(got, again.run(TOKENS[:20], n, 0 * n, [19]))


@pytest.mark.parametrize("part", [(0, 0), (2, 1), (-1, 2), (4, None), (0, 4), (1, 9)])
def test_missing_layers_are_refused(part: tuple[int, int | None]) -> None:
    with pytest.raises(UsageError, match="expected layers 0 <= begin < end"):
        whole("llama").program.cut(*part)


def test_a_hidden_state_is_checked() -> None:
    own, n = whole("llama"), np.arange(5)
    above = Executor(own.program.cut(2), 90, 2)
    for wrong in (None, np.zeros((4, 48), np.float32), np.zeros((5, 47), np.float32)):
        with pytest.raises(UsageError, match="begins with a hidden state of 5 rows and 48 columns"):
            above.run(own.memory, TOKENS[:5], n, 0 * n, [4], wrong)
    with pytest.raises(UsageError, match="takes no hidden state"):
        own.executor.run(own.memory, TOKENS[:5], n, 0 * n, [4], np.zeros((5, 48), np.float32))


def test_what_several_layers_read_is_part_of_the_hidden_state() -> None:
    """Keys and values of the layers whose caches later ones share, the second embedding and the layer's input."""
    step, weights = random_model(**MODELS["shared keys"])
    assert [len(step.crossing(layer)) for layer in range(4)] == [1, 4, 6, 4]
    kv, width = 2 * 8, 48
    hidden = [step.cut(layer, None, weights).ops[0].width([], []) for layer in (1, 2, 3)]
    assert hidden == [2 * kv + 2 * width, 4 * kv + 2 * width, 2 * kv + 2 * width]
    assert len(Program(step, stored(weights), WeightBank()).layers) == 2


def test_a_cache_of_other_keys_is_refused() -> None:
    step = Step()
    x = step.embed("x")
    step.attention(x, x, x, 0, 4, 4, 8, 1.0)
    step.attention(x, x, x, 0, 4, 4, 8, 0.5)
    with pytest.raises(UsageError, match="layer 0 has a cache already"):
        step.attention(x, x, step.add(x, x), 0, 4, 4, 8, 1.0)


@pytest.mark.parametrize("activations", ["int8", "ggml"])
def test_parts_with_tensors_in_other_formats_one_after_another(activations: str) -> None:
    """A program's parts are laid out once for all formats, unless the formats decide how inputs are rounded."""
    step, weights = random_model(**MODELS["llama"] | {"layers": LAYERS, "width": 64, "feed_forward": 96})
    tensors, n = stored(weights), np.arange(20)
    program = Program(step, tensors, WeightBank(), activations)
    hidden = Executor(program.cut(end=2), 20, 2).run(Memory(program.layers, 20), TOKENS[:20], n, 0 * n, [])
    for name in ("q4_0", "q4_1", "q8_0"):
        format = formats.get(name)
        changed = {"3.up": QuantizedTensor("3.up", (96, 64), format, format.quantize(weights["3.up"]))}
        expected = Running(step, tensors | changed, context=20, activations=activations).run(TOKENS[:20], n, 0 * n, [9])
        for part in (program.cut(2, tensors=changed), program.replace(changed).cut(2), program.cut(2).replace(changed)):
            got = Executor(part, 20, 2).run(Memory(program.layers, 20), TOKENS[:20], n, 0 * n, [9], hidden)
            assert np.array_equal(got, expected)
        again = Executor(program.replace(changed), 20, 2).run(Memory(program.layers, 20), TOKENS[:20], n, 0 * n, [9])
        assert np.array_equal(again, expected)


def test_a_replaced_tensor_of_another_shape_is_refused() -> None:
    own = whole("llama")
    wrong = stored({"3.up": np.zeros((80, 47), np.float32)})
    for replaced in (own.program.replace, lambda tensors: own.program.cut(2, tensors=tensors)):
        with pytest.raises(BitwrightError, match=r"3\.up should be \(48,\), got \(47,\)"):
            replaced(wrong)


def test_schedules_of_few_parts_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program_module, "CUTS", 2)
    own, made = whole("llama").program, []
    schedule = program_module.Schedule
    monkeypatch.setattr(program_module, "Schedule", lambda *args: (made.append(1), schedule(*args))[1])
    for begin in (1, 2, 1, 3, 1, 2):  # 3 displaces 2, which was used before 1
        own.cut(begin)
    assert len(made) == 4
    assert len(own._cuts) == 2
