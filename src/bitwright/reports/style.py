"""The style sheet of a report's page: light and dark, wide and narrow.

Lines differ by dashes as well as by colour, and points carry numbers. A table that is wider than its window scrolls,
with a shadow on the side where there is more.
"""

from __future__ import annotations

STYLE = """
:root { color-scheme: light dark; --ink: #1c2024; --soft: #5c636b; --line: #e2e5e9; --paper: #ffffff; --mark: #b93a0a;
  --shade: #00000033; --bar: #8fb4dc; --hot: 194 65 12;
  --c0: #2f6db0; --c1: #b93a0a; --c2: #2a7a50; --c3: #7440d6; --c4: #8a5a00; --c5: #0b6f84 }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --soft: #a5acb4; --line: #30353b; --paper: #15181c;
  --mark: #ff9257; --shade: #ffffff4d; --bar: #39648f; --hot: 240 100 40;
  --c0: #7db7f0; --c1: #ff9257; --c2: #6fcf97; --c3: #b8a1ff; --c4: #e3b341; --c5: #5ccfe6 } }
* { box-sizing: border-box }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 0;
  overflow-wrap: break-word }
main { max-width: 62rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2.2rem }
p.note, figcaption, .legend, .hint { color: var(--soft); font-size: .88rem }
.headline { font-size: 1.2rem; font-weight: 600 }
.verdict { border-left: 4px solid var(--mark); padding: .2rem 1rem } .warning { color: var(--mark); font-weight: 600 }
.heard { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap }
.skip { position: absolute; left: -99rem } .skip:focus { position: static }
a { color: var(--c0) } :focus-visible { outline: 2px solid var(--c0); outline-offset: 2px }
.scroll { position: relative; overflow-x: auto; background:
  linear-gradient(to right, var(--paper) 40%, transparent) left / 3rem 100% no-repeat local,
  linear-gradient(to left, var(--paper) 40%, transparent) right / 3rem 100% no-repeat local,
  linear-gradient(to right, var(--shade), transparent) left / .8rem 100% no-repeat scroll,
  linear-gradient(to left, var(--shade), transparent) right / .8rem 100% no-repeat scroll }
.hint { display: none; margin: 0 0 .3rem }
table { border-collapse: separate; border-spacing: 0; font-size: .9rem; position: relative }
td, th { padding: .2rem .8rem .2rem 0; text-align: left; border-bottom: 1px solid var(--line); vertical-align: top }
tbody th { font-weight: inherit } thead th { font-weight: 600 }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
.wrap td { overflow-wrap: anywhere } .wrap tbody th { min-width: 7rem }
figure { margin: 1rem 0 } svg { width: 100%; height: auto } svg.narrow { display: none }
svg text { fill: var(--soft); font: 12px system-ui, sans-serif }
svg text.number { fill: var(--paper); font-weight: 600 }
.grid { stroke: var(--line) } .line { fill: none; stroke: var(--c); stroke-width: 2 }
.band { fill: var(--c); opacity: .15; stroke: none } circle { fill: var(--c) }
.line.c1 { stroke-dasharray: 8 3 } .line.c2 { stroke-dasharray: 2 3 } .line.c3 { stroke-dasharray: 10 3 2 3 }
.line.c4 { stroke-dasharray: 14 5 } .line.c5 { stroke-dasharray: 5 2 } .line.again { stroke-width: 1 }
.leader { stroke: var(--c); stroke-width: 1.4 }
.whisker { stroke: var(--ink); stroke-width: 1.4 } .floor { stroke: var(--soft); stroke-dasharray: 5 4 }
.joined { fill: none; stroke: var(--soft); opacity: .5 } .bar { fill: var(--bar) }
.c0 { --c: var(--c0) } .c1 { --c: var(--c1) } .c2 { --c: var(--c2) } .c3 { --c: var(--c3) } .c4 { --c: var(--c4) }
.c5 { --c: var(--c5) }
.legend { list-style: none; padding: 0; margin: .4rem 0; display: flex; flex-wrap: wrap; gap: .2rem 1.4rem }
.legend li { overflow-wrap: anywhere }
.key::before { content: ""; display: inline-block; width: 38px; height: 3px; margin-right: .5em; vertical-align: .25em;
  background: var(--c) }
.key::before, .number b { print-color-adjust: exact } .key.again::before { height: 1px }
.key.c1::before { background: repeating-linear-gradient(90deg, var(--c) 0 8px, #0000 0 11px) }
.key.c2::before { background: repeating-linear-gradient(90deg, var(--c) 0 2px, #0000 0 5px) }
.key.c3::before { background:
  repeating-linear-gradient(90deg, var(--c) 0 10px, #0000 0 13px, var(--c) 0 15px, #0000 0 18px) }
.key.c4::before { background: repeating-linear-gradient(90deg, var(--c) 0 14px, #0000 0 19px) }
.key.c5::before { background: repeating-linear-gradient(90deg, var(--c) 0 5px, #0000 0 7px) }
.number b { display: inline-block; min-width: 1.5em; border-radius: 1em; text-align: center; color: var(--paper);
  background: var(--c) }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font-size: .8rem }
.heat { line-height: 1.9; font-family: ui-monospace, monospace; font-size: .85rem; white-space: pre-wrap;
  overflow-wrap: anywhere }
.heat > span { cursor: help; background: rgb(var(--hot) / calc(var(--heat) * .8)) }
.heat > span > i { display: none; position: fixed; right: 1rem; bottom: 1rem; z-index: 1; max-width: calc(100vw - 2rem);
  overflow: hidden; background: var(--paper); border: 1px solid var(--soft); padding: .4rem .7rem; font-style: normal;
  white-space: pre; line-height: 1.35; color: var(--ink) }
.heat > span:hover > i, .heat > span:focus > i { display: block }
.heat > span:focus > i { z-index: 2 }
.sides { display: grid; grid-template-columns: 1fr 1fr; gap: 1rem; font-size: .88rem }
@media (max-width: 40rem) {
  svg.wide { display: none } svg.narrow { display: block } .hint { display: block } main { margin: 1rem auto }
  .scroll th:first-child { position: sticky; left: 0; min-width: 7.5rem; max-width: 9rem; overflow-wrap: anywhere;
    background: var(--paper) }
}
"""
