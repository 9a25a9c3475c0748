"""Short chat templates that write calls and reasoning as the families' own do."""

from __future__ import annotations

N = "{{ '\n' }}"  # a line break, which Jinja would drop after a block
NAME, JSON = "{{ c.function.name }}", "{{ c.function.arguments | tojson }}"
OBJECT = '{"name": "' + NAME + '", "arguments": ' + JSON + "}"
COMMA = "{% if not loop.last %}, {% endif %}"
EACH, END = "{% for k, v in c.function.arguments.items() %}", "{% endfor %}"
VALUE = "{{ v if v is string else v | tojson }}"


def written(call: str, begin: str = "", end: str = "", opens: str = "<think>\n", closes: str = "\n</think>\n\n") -> str:
    """A template that writes thoughts, the answer, `begin`, every `call`, and `end`."""
    thought = "{% if m.reasoning_content %}" + opens + "{{ m.reasoning_content }}" + closes + "{% endif %}"
    calls = "{% if m.tool_calls %}" + begin + "{% for c in m.tool_calls %}" + call + END + end + "{% endif %}"
    turn = "<turn>{{ m.role }}\n" + thought + "{{ m.content }}" + calls + "<end>"
    asked = "{% if add_generation_prompt %}<turn>assistant{{ '\n' }}{% endif %}"
    return "{% for m in messages %}" + turn + "{% endfor %}" + asked


GEMMA = """{% macro value(v) %}
{% if v is string %}<|"|>{{ v }}<|"|>{% elif v is boolean %}{{ v | lower }}
{%- elif v is mapping %}{ {%- for k, w in v.items() %}{{ k }}:{{ value(w) }}{{ "" if loop.last else "," }}{% endfor %}}
{%- elif v is sequence %}[{% for w in v %}{{ value(w) }}{{ "" if loop.last else "," }}{% endfor %}]
{%- else %}{{ v }}{% endif %}{% endmacro %}"""
HARMONY = """{% for m in messages %}<|start|>{{ m.role }}
{%- if m.reasoning_content %}<|channel|>analysis<|message|>{{ m.reasoning_content }}<|end|><|start|>assistant{% endif %}
<|channel|>{{ "commentary" if m.tool_calls else "final" }}<|message|>{{ m.content }}<|end|>
{%- for c in m.tool_calls %}<|start|>assistant to=functions.{{ c.function.name }}<|channel|>commentary json<|message|>
{{- c.function.arguments | tojson }}<|call|>{% endfor %}{% endfor %}
{% if add_generation_prompt %}<|start|>assistant{% endif %}"""

TEMPLATES = {
    "hermes": written(N + "<tool_call>\n" + OBJECT + "\n</tool_call>"),
    "llama3": '{# {"name": function name, "parameters": #}'
    + written('{"name": "' + NAME + '", "parameters": ' + JSON + "}{% if not loop.last %}; {% endif %}"),
    "mistral": written(OBJECT + COMMA, "[TOOL_CALLS][", "]", "[THINK]", "[/THINK]"),
    "mistral, later": written("[TOOL_CALLS]" + NAME + "[CALL_ID]{{ c.id }}[ARGS]" + JSON),
    "qwen-tags": written(
        f"{N}<tool_call>\n<function={NAME}>\n{EACH}<parameter={{{{ k }}}}>\n{VALUE}\n</parameter>\n{END}"
        "</function>\n</tool_call>"
    ),
    "seed-tags": written(
        f"{N}<seed:tool_call>\n<function={NAME}>\n{EACH}<parameter={{{{ k }}}}>{{{{ v }}}}</parameter>\n{END}"
        "</function>\n</seed:tool_call>",
        opens="<seed:think>",
        closes="</seed:think>",
    ),
    "minimax-tags": written(
        f'<invoke name="{NAME}">\n{EACH}<parameter name="{{{{ k }}}}">{VALUE}</parameter>\n{END}</invoke>\n',
        begin=f"{N}<minimax:tool_call>\n",
        end="</minimax:tool_call>",
    ),
    "deepseek-tags": written(
        f'<｜DSML｜invoke name="{NAME}">\n{EACH}<｜DSML｜parameter name="{{{{ k }}}}" string="'
        f'{{{{ v is string | lower }}}}">{VALUE}</｜DSML｜parameter>\n{END}</｜DSML｜invoke>\n',
        begin=f"{N}\n<｜DSML｜function_calls>\n",
        end="</｜DSML｜function_calls>",
    ),
    "glm": written(
        f"{N}<tool_call>{NAME}\n{EACH}<arg_key>{{{{ k }}}}</arg_key>\n<arg_value>{VALUE}</arg_value>\n{END}</tool_call>"
    ),
    "deepseek": written(
        f"<｜tool▁call▁begin｜>function<｜tool▁sep｜>{NAME}\n```json\n{JSON}\n```<｜tool▁call▁end｜>\n",
        begin="<｜tool▁calls▁begin｜>",
        end="<｜tool▁calls▁end｜>",
    ),
    "deepseek, later": written(
        f"<｜tool▁call▁begin｜>{NAME}<｜tool▁sep｜>{JSON}<｜tool▁call▁end｜>",
        begin="<｜tool▁calls▁begin｜>",
        end="<｜tool▁calls▁end｜>",
    ),
    "harmony": HARMONY,
    "gemma4": GEMMA
    + written(
        f"<|tool_call>call:{NAME}{{{{ value(c.function.arguments) }}}}<tool_call|>",
        opens="<|channel>thought\n",
        closes="\n<channel|>",
    ),
}
