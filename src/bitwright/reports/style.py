"""The style sheet of a report's page."""

from __future__ import annotations

STYLE = """
:root { color-scheme: light dark; --ink: #1c2024; --soft: #6b7178; --line: #e2e5e9; --paper: #fff; --mark: #c2410c }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --soft: #9aa1a9; --line: #30353b; --paper: #15181c } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 50rem;
  margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2.2rem } p.note, figcaption, .legend { color: var(--soft);
  font-size: .88rem }
.headline { font-size: 1.2rem; font-weight: 600 }
.verdict { border-left: 4px solid var(--mark); padding: .2rem 1rem } .warning { color: var(--mark); font-weight: 600 }
table { border-collapse: collapse; font-size: .9rem; display: block; overflow-x: auto }
td, th { padding: .2rem .8rem .2rem 0; text-align: left;
  border-bottom: 1px solid var(--line); vertical-align: top } td.n, th.n { text-align: right;
  font-variant-numeric: tabular-nums; white-space: nowrap }
figure { margin: 1rem 0 } svg { width: 100%; height: auto } svg text { fill: var(--soft); font: 11px system-ui }
.grid { stroke: var(--line) } .line { fill: none; stroke-width: 2 } .band { opacity: .15; stroke: none }
.whisker { stroke: var(--ink); stroke-width: 1.4 } .floor { stroke: var(--soft); stroke-dasharray: 5 4 }
.joined { fill: none; stroke: var(--line); stroke-width: 2 }
.bar { fill: #3b6ea5 } pre { white-space: pre-wrap; overflow-wrap: anywhere; font-size: .8rem }
.c0 { --c: #3b6ea5 } .c1 { --c: #c2410c } .c2 { --c: #2f855a } .c3 { --c: #8b5cf6 } .c4 { --c: #b7791f }
.c5 { --c: #0e7490 } .line { stroke: var(--c) } circle, .band { fill: var(--c) }
.key { border-bottom: 3px solid var(--c); margin-right: 1em }
.heat { line-height: 1.9; font-family: ui-monospace, monospace; font-size: .85rem; white-space: pre-wrap;
  overflow-wrap: anywhere }
.heat span { cursor: help } .heat span > i { display: none; position: fixed; right: 1rem; bottom: 1rem; z-index: 1;
  background: var(--paper); border: 1px solid var(--soft); padding: .4rem .7rem; font-style: normal; white-space: pre;
  line-height: 1.35; color: var(--ink) } .heat span:hover > i { display: block }
@media (prefers-color-scheme: dark) { .line, .bar, .key, circle { filter: brightness(1.4) } }
.sides { display: grid; grid-template-columns: 1fr 1fr; gap: 1rem; font-size: .88rem }
"""
