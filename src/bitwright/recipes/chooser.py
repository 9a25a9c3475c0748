"""The rules of a file type applied to one model, as llama_tensor_get_type_impl applies them.

https://github.com/ggml-org/llama.cpp/blob/master/src/llama-quant.cpp
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from bitwright import formats
from bitwright.formats import Format
from bitwright.formats.tensor import HasShape
from bitwright.model.architectures.names import layer_number
from bitwright.recipes.file_types import FILE_TYPES
from bitwright.recipes.roles import role
from bitwright.recipes.rules import Place, Shape

CHEAP_OUTPUT = {"iq1_s", "iq1_m", "iq2_xxs", "iq2_xs", "iq2_s", "iq2_m", "iq3_xxs"}  # their output is Q5_K, not Q6_K
FUSED = {"attn_qkv": "attn_v", "attn_kv_b": "attn_v"}  # tensors that contain attn_v, the most sensitive part
GLM5_SENSITIVE = ("attn_q_a", "attn_q_b", "nextn.eh_proj")  # never below Q8_0 in glm5-next


class Chooser:
    """Chooses formats for one model; called once for each quantizable tensor, in order of layer and name.

    name: of the file type. names: of all the model's tensors. importance: whether importance data are available.
    """

    def __init__(self, name: str, model: Shape, names: Sequence[str], importance: bool) -> None:
        self.name, self.file_type, self.model, self.importance = name, FILE_TYPES[name], model, importance
        self.tied = "output.weight" not in names
        self.values = sum(FUSED.get(role(name), role(name)) == "attn_v" for name in names)
        self.seen: Counter[str] = Counter()

    def __call__(self, tensor: HasShape) -> tuple[Format, str]:
        """The format, and why, if it is not the file type's base."""
        kind = role(tensor.name)
        name = self.format_name(tensor, kind)
        return formats.get(name), "" if name == self.file_type.base else f"{kind} in {self.name}"

    def format_name(self, tensor: HasShape, kind: str) -> str:
        """The name of the format that the file type gives a tensor of this kind."""
        base = self.file_type.base
        if base in ("f32", "f16", "bf16"):
            return base
        if self.model.architecture == "glm5-next" and any(part in tensor.name for part in GLM5_SENSITIVE):
            return "q8_0"
        if kind == "output" or (self.tied and kind == "token_embd"):
            return self.output(tensor)
        if self.name == "mxfp4_moe":
            return "mxfp4" if self.is_expert(tensor, kind) else "q8_0"
        kind = FUSED.get(kind, kind)
        rule = self.file_type.rules.get(kind)
        name = (rule and rule(self.place(tensor, kind))) or base
        self.seen[kind] += 1
        return name if self.file_type.low_bit else self.protect_attention(kind, name)

    def place(self, tensor: HasShape, kind: str) -> Place:
        """The tensor's place. Layers with experts have several feed-forward tensors of a role: these count by layer."""
        if kind == "attn_v":
            return Place(self.seen[kind], self.values, self.model, self.importance)
        by_layer = self.model.experts > 1 and not self.file_type.low_bit and kind.startswith("ffn")
        index = layer_number(tensor.name) if by_layer else self.seen[kind]
        return Place(index, self.model.layers, self.model, self.importance)

    def output(self, tensor: HasShape) -> str:
        """The format of the output projection, or of the embedding that serves as one."""
        base = formats.get(self.file_type.base)
        if self.name == "mxfp4_moe" or self.model.architecture == "falcon" or tensor.shape[-1] % base.block_size:
            return "q8_0"
        if self.name in CHEAP_OUTPUT:
            return "q5_k"
        return "q8_0" if base.name == "q8_0" else "q6_k"

    def is_expert(self, tensor: HasShape, kind: str) -> bool:
        """Whether a tensor holds the stacked weights of experts."""
        stacked = len(tensor.shape) > 2 and tensor.shape[-3] > 1
        return stacked and (self.model.architecture != "bailingmoe3" or kind in ("ffn_up", "ffn_gate", "ffn_down"))

    def protect_attention(self, kind: str, name: str) -> str:
        """More bits for keys and values with 8 experts, and for values in the 70B class, where they are small."""
        if self.model.experts == 8 and kind in ("attn_k", "attn_v"):
            return "q8_0"
        return "q5_k" if kind == "attn_v" and self.model.is_70b and name in ("q3_k", "q4_k") else name
