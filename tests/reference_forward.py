"""A plain NumPy forward pass to compare the engine with: float64, one sequence, all positions at once, no cache.

It shares nothing with bitwright: it takes raw GGUF metadata and weights as arrays, and follows the published
descriptions of the models loop by loop, to be readable rather than fast.

With `rounding` it analyzes float32 errors (Monte Carlo arithmetic: Parker, Pierce, Eggert 2000): a random generator
adds to every result a normal error of the size that float32 arithmetic makes there. That is u |x| for one operation,
and u sqrt(n) |products| for a sum of n products, where |products| is their Euclidean norm (the growth of a sum's
rounding error with effectively random signs: Higham and Mary 2019); u = 2**-24. The resulting change of the
log-probabilities is the expected distance of a correct float32 engine from this reference; `reference_compare`
allows a multiple of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import reference_gemma4
import reference_latent
from reference_convolution import convolution
from reference_delta_net import delta_net
from reference_mamba import mamba
from reference_mixture import log_softmax, mixture, silu

UNIT = 2.0**-24  # float32: half a unit in the last place, relative
# Whose files store rotated pairs side by side.
NEIGHBOURS = ("deepseek2", "glm4", "granite", "granitehybrid", "llama", "mistral3", "smollm3")
FULL = {"gemma3": 6, "gemma4": 6, "gpt-oss": 2, "olmo2": 4, "phi3": 1 << 20, "lfm2": 1 << 20}  # one in so many layers
BEFORE_FEED_FORWARD = ("glm4moe", "gpt-oss", "qwen35", "qwen35moe", "qwen3next")  # where post_attention_norm is
EXACT_RAMP = ("gpt-oss",)  # of YaRN: it need not begin and end at whole pairs
PIECE = 16384  # rows of a matrix in float64 at a time: the head of a large vocabulary would take gigabytes


@dataclass
class Reference:
    """A model as metadata and weights (any float arrays, (rows, columns)); `cache` is the type of keys and values."""

    metadata: Mapping[str, Any]
    weights: Mapping[str, np.ndarray]
    cache: Any = np.float16
    rounding: np.random.Generator | None = None

    def get(self, key: str, default: Any = None) -> Any:
        return self.metadata.get(f"{self.architecture}.{key}", default)

    @property
    def architecture(self) -> str:
        return str(self.metadata["general.architecture"])

    def weight(self, name: str) -> np.ndarray:
        return np.asarray(self.weights[name], np.float64)

    def rounded(self, x: np.ndarray, operations: int = 1) -> np.ndarray:
        """x after `operations` float32 operations, when rounding is simulated."""
        if self.rounding is None:
            return x
        return x * (1 + UNIT * np.sqrt(operations) * self.rounding.standard_normal(x.shape))

    def product(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """x @ y, summed in float32 when rounding is simulated."""
        result = x @ y
        if self.rounding is None:
            return result
        spread = UNIT * np.sqrt(x.shape[-1]) * np.sqrt(x**2 @ y**2)
        return result + spread * self.rounding.standard_normal(result.shape)

    def logits(self, ids: list[int]) -> np.ndarray:
        """(tokens, vocabulary): row t scores what follows ids[: t + 1]."""
        gemma = self.architecture in ("gemma3", "gemma4")
        x = np.asarray(self.weights["token_embd.weight"][ids], np.float64)
        x = x * (np.sqrt(x.shape[1]) if gemma else self.get("embedding_scale", 1.0))
        own, self.memory = reference_gemma4.own_embeddings(self, ids, x), {}
        for layer in range(self.get("block_count") - self.get("nextn_predict_layers", 0)):
            h = self.norm_if_there(x, f"blk.{layer}.attn_norm.weight")
            h = self.mixer(layer)(self, h, layer)
            after, before = f"blk.{layer}.post_attention_norm.weight", f"blk.{layer}.ffn_norm.weight"
            if self.architecture in BEFORE_FEED_FORWARD:
                after, before = "none", after
            x = self.rounded(x + self.norm_if_there(h, after) * self.get("residual_scale", 1.0))
            h = self.norm_if_there(x, before)
            if self.get("expert_count", 0) == 0 or layer < self.get("leading_dense_block_count", 0):
                h = self.feed_forward(h, layer, gemma)
            elif self.architecture == "gemma4":
                dense = self.norm(self.feed_forward(h, layer, gemma), f"blk.{layer}.post_ffw_norm_1.weight")
                h = self.rounded(dense + reference_gemma4.mixture(self, x, layer, gelu))
            else:
                h = mixture(self, h, layer)
            h = self.norm_if_there(h, f"blk.{layer}.post_ffw_norm.weight")
            x = self.rounded(x + h * self.get("residual_scale", 1.0))
            if own is not None:
                h = self.rounded(gelu(self.linear(x, f"blk.{layer}.inp_gate")) * own[:, layer], 4)
                x = self.rounded(x + self.norm(self.linear(h, f"blk.{layer}.proj"), f"blk.{layer}.post_norm.weight"))
            if (scale := f"blk.{layer}.layer_output_scale.weight") in self.weights:
                x = self.rounded(x * self.weight(scale))
        x = self.norm(x, f"{'token_embd' if 'token_embd_norm.weight' in self.weights else 'output'}_norm.weight")
        logits = self.linear(x, "output" if "output.weight" in self.weights else "token_embd")
        logits = logits / self.get("logit_scale", 1.0)
        cap = self.get("final_logit_softcapping", 0.0)
        return cap * np.tanh(logits / cap) if cap else logits

    def log_probabilities(self, ids: list[int]) -> np.ndarray:
        return log_softmax(self.logits(ids))

    def norm(self, x: np.ndarray, name: str) -> np.ndarray:
        mean_square = np.mean(x**2, axis=-1, keepdims=True)
        normal = x / np.sqrt(mean_square + self.get("attention.layer_norm_rms_epsilon"))
        return self.rounded(normal * self.weight(name), 4)

    def norm_if_there(self, x: np.ndarray, name: str) -> np.ndarray:
        return self.norm(x, name) if name in self.weights else x

    def linear(self, x: np.ndarray, name: str) -> np.ndarray:
        weight = self.weights[f"{name}.weight"]
        rows = range(0, len(weight), PIECE)
        y = np.hstack([self.product(x, np.asarray(weight[i : i + PIECE], np.float64).T) for i in rows])
        return self.rounded(y + self.weight(f"{name}.bias")) if f"{name}.bias" in self.weights else y

    def feed_forward(self, x: np.ndarray, layer: int, gemma: bool, end: str = "") -> np.ndarray:
        up = self.linear(x, f"blk.{layer}.ffn_up{end}")
        fused = f"blk.{layer}.ffn_gate{end}.weight" not in self.weights
        gate, up = np.split(up, 2, axis=1) if fused else (self.linear(x, f"blk.{layer}.ffn_gate{end}"), up)
        return self.linear(self.rounded((gelu(gate) if gemma else silu(gate)) * up, 4), f"blk.{layer}.ffn_down{end}")

    def mixer(self, layer: int) -> Callable[[Reference, np.ndarray, int], np.ndarray]:
        """What a layer has in place of attention, or that."""
        if f"blk.{layer}.ssm_a" in self.weights:
            return mamba if f"blk.{layer}.ssm_d" in self.weights else delta_net
        return convolution if f"blk.{layer}.shortconv.conv.weight" in self.weights else Reference.attention

    def attention(self, x: np.ndarray, layer: int) -> np.ndarray:
        if own := {"deepseek2": reference_latent, "gemma4": reference_gemma4}.get(self.architecture):
            return own.attention(self, x, layer)
        heads = self.get("attention.head_count")
        kv_heads = int(np.broadcast_to(self.get("attention.head_count_kv", heads), self.get("block_count"))[layer])
        dim = self.get("attention.key_length", self.get("embedding_length") // heads)
        tokens = len(x)
        if f"blk.{layer}.attn_qkv.weight" in self.weights:
            q, k, v = np.split(self.linear(x, f"blk.{layer}.attn_qkv"), np.array([heads, heads + kv_heads]) * dim, 1)
        else:
            q, k, v = (self.linear(x, f"blk.{layer}.attn_{name}") for name in "qkv")
        gate = None
        if q.shape[1] == 2 * heads * dim:  # each head's query is followed by its gate
            q, gate = (x.reshape(tokens, -1) for x in np.split(q.reshape(tokens, heads, 2 * dim), 2, axis=2))
        norms = f"blk.{layer}.attn_q_norm.weight", f"blk.{layer}.attn_k_norm.weight"
        if self.architecture == "olmo2":  # over all heads at once
            q, k = self.norm(q, norms[0]), self.norm(k, norms[1])
        q, k, v = q.reshape(tokens, heads, dim), k.reshape(tokens, kv_heads, dim), v.reshape(tokens, kv_heads, dim)
        if self.architecture != "olmo2":
            q, k = self.norm_if_there(q, norms[0]), self.norm_if_there(k, norms[1])
        window = self.window(layer)
        if self.get("rope.scaling.finetuned", True) and (self.architecture != "smollm3" or layer % 4 != 3):
            local = window is not None and self.architecture not in ("phi3", "gpt-oss", "lfm2")
            q, k = self.rotate(q, local), self.rotate(k, local)
        if scale := self.get("attention.temperature_scale"):  # Llama 4: the logarithm of how many contexts have passed
            passed = np.arange(tokens) // self.get("rope.scaling.original_context_length")
            q = self.rounded(q * (1 + scale * np.log(1 + passed))[:, None, None], 3)
        k, v = k.astype(self.cache).astype(np.float64), v.astype(self.cache).astype(np.float64)
        scale = 1 / np.sqrt(self.get("embedding_length") // heads if self.is_gemma3_27b() else dim)
        return self.mixed(q, k, v, self.get("attention.scale", scale), window, layer, gate)

    def mixed(
        self,
        q: np.ndarray,
        k: np.ndarray,
        v: np.ndarray,
        scale: float,
        window: int | None,
        layer: int,
        gate: Any = None,
    ) -> np.ndarray:
        """Attention of q (tokens, heads, width) to k (tokens, kv_heads, width) and v (tokens, kv_heads, dim), gated
        (tokens, heads * dim), projected."""
        (tokens, heads, _), (_, kv_heads, dim) = q.shape, v.shape
        mixed = np.zeros((tokens, heads, dim))
        for head in range(heads):
            shared = head // (heads // kv_heads)
            for t in range(tokens):
                first = 0 if window is None else max(0, t - window + 1)
                scores = self.product(k[first : t + 1, shared], q[t, head]) * scale
                if f"blk.{layer}.attn_sinks.weight" in self.weights:  # takes part, and brings no value
                    scores = np.append(scores, self.weight(f"blk.{layer}.attn_sinks.weight")[head])
                weights = np.exp(scores - scores.max())
                weights = self.rounded(weights / weights.sum(), 4)[: t + 1 - first]
                mixed[t, head] = self.product(weights, v[first : t + 1, shared])
        mixed = mixed.reshape(tokens, heads * dim)
        if gate is not None:
            mixed = self.rounded(mixed / (1 + np.exp(-gate)), 4)
        return self.linear(mixed, f"blk.{layer}.attn_output")

    def is_gemma3_27b(self) -> bool:
        return self.architecture == "gemma3" and self.get("block_count") == 62

    def window(self, layer: int) -> int | None:
        """Every sixth layer of Gemma 3, every fourth of OLMo 3 and every second of gpt-oss has no window, unless the
        file lists them; all layers of Phi 3 and LFM2 have one."""
        size, every = self.get("attention.sliding_window"), FULL.get(self.architecture)
        if every is None or not size:
            return None
        windowed = self.get("attention.sliding_window_pattern")
        return size if ((layer + 1) % every != 0 if windowed is None else windowed[layer]) else None

    def rotate(self, x: np.ndarray, local: bool) -> np.ndarray:
        """x (tokens, heads, dim) rotated by position; pairs are adjacent in Llama files, else half a head apart."""
        tokens, _, dim = x.shape
        rotated = self.get("rope.dimension_count", dim)
        if (rotated := self.get("rope.dimension_count_swa", rotated) if local else rotated) < dim:
            return np.concatenate([self.rotate(x[..., :rotated], local), x[..., rotated:]], axis=-1)
        angles = np.arange(tokens)[:, None] * self.frequencies(dim, local)
        turn = self.rounded(np.cos(angles), 4) + 1j * self.rounded(np.sin(angles), 4)
        turn = turn[:, None, :] * self.magnitude(local)
        if self.architecture in NEIGHBOURS:
            pairs = (x[..., 0::2] + 1j * x[..., 1::2]) * turn
            result = np.stack([pairs.real, pairs.imag], axis=-1).reshape(x.shape)
        else:
            pairs = (x[..., : dim // 2] + 1j * x[..., dim // 2 :]) * turn
            result = np.concatenate([pairs.real, pairs.imag], axis=-1)
        return self.rounded(result)

    def frequencies(self, dim: int, local: bool) -> np.ndarray:
        """(dim / 2,) radians per position, from the papers: RoFormer; position interpolation; Llama 3; YaRN."""
        pair = np.arange(dim // 2)
        if local:
            usual = 10000.0 if self.architecture == "gemma3" else self.get("rope.freq_base", 10000.0)
            return self.get("rope.freq_base_swa", usual) ** (-2.0 * pair / dim)
        base, factor = self.get("rope.freq_base", 10000.0), self.get("rope.scaling.factor", 1.0)
        plain = base ** (-2.0 * pair / dim)
        if "rope_freqs.weight" in self.weights:
            plain = plain / self.weight("rope_freqs.weight")
        if "rope_factors_short.weight" in self.weights:  # LongRoPE within the original context
            plain = plain / self.weight("rope_factors_short.weight")
        if self.get("rope.scaling.type", "none") != "yarn":
            return plain / factor
        # YaRN, section 3.2: which pair makes `turns` turns within the original context, solved for the pair. Its
        # authors' code rounds both, gpt-oss's does not.
        original = self.get("rope.scaling.original_context_length")
        fast, slow = (
            dim * np.log(original / (2 * np.pi * turns)) / (2 * np.log(base))
            for turns in (self.get("rope.scaling.yarn_beta_fast", 32.0), self.get("rope.scaling.yarn_beta_slow", 1.0))
        )
        if self.architecture not in EXACT_RAMP:
            fast, slow = np.floor(fast), np.ceil(slow)
        fast, slow = max(fast, 0), min(slow, dim - 1)
        interpolated = np.clip((pair - fast) / (slow - fast), 0, 1)
        return plain * (1 - interpolated) + plain / factor * interpolated

    def magnitude(self, local: bool) -> float:
        if local or self.get("rope.scaling.type", "none") != "yarn":
            return 1.0 if local else float(self.get("rope.scaling.attn_factor", 1.0))
        if self.architecture == "deepseek2":  # which scales scores instead
            return 1.0
        grown = 0.1 * np.log(self.get("rope.scaling.factor", 1.0))
        return float((grown + 1) / (self.get("rope.scaling.yarn_log_multiplier", 0.0) * grown + 1))


def gelu(x: np.ndarray) -> np.ndarray:
    """The tanh form, with which Gemma was trained."""
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
