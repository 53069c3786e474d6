"""How the pages look: one sheet for light and dark, from a telephone to a wall, without anything from elsewhere."""

from __future__ import annotations

import base64
import hashlib

STYLE = """
:root { color-scheme: light dark; --page: #fff; --card: #f4f5f7; --ink: #16181d; --quiet: #555c69; --line: #c9ced6;
  --alarm: #a3151f; --warn: #8a4b00; --good: #1a6336;
  --link: #0b4f9c; --now: #5b8fd0; --then: #16181d; }
@media (prefers-color-scheme: dark) { :root { --page: #14161a; --card: #1e2127; --ink: #e8eaed; --quiet: #aab1bd;
  --line: #444b57; --alarm: #ff9c9c; --warn: #ffc27a; --good: #8fdcab; --link: #9cc7ff; --now: #4f7fb8;
  --then: #e8eaed; } }
* { box-sizing: border-box; }
@media (min-width: 2200px) { html { font-size: 150%; } svg:not(.life) { zoom: 1.5; } }
body { font: 1rem/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 84rem; padding: 0 1rem 3rem;
  background: var(--page); color: var(--ink); }
header { display: flex; flex-wrap: wrap; gap: .2rem 1rem; padding: .8rem 0; border-bottom: 1px solid var(--line); }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 1.2rem 0 .3rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; } h3 { font-size: 1rem; margin: 1.4rem 0 .4rem; }
summary { cursor: pointer; }
p { margin: .4rem 0; max-width: 60rem; }
a { color: var(--link); }
a:focus-visible, input:focus-visible, select:focus-visible, button:focus-visible, summary:focus-visible,
.scroll:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
.skip { position: absolute; left: -100vw; } .skip:focus { position: static; }
table { border-collapse: collapse; width: 100%; }
caption { text-align: left; font-weight: 600; font-size: 1.2rem; padding: 1.6rem 0 .4rem; }
th, td { text-align: left; vertical-align: top; padding: .45rem .8rem .45rem 0; border-bottom: 1px solid var(--line); }
thead th { color: var(--quiet); font-size: .85rem; white-space: nowrap; } th { font-weight: 600; }
th[scope=row] { overflow-wrap: anywhere; min-width: 9rem; } td, dd { overflow-wrap: anywhere; }
td.n { overflow-wrap: normal; white-space: nowrap; }
td.n, th.n { text-align: right; padding-right: 1.6rem; font-variant-numeric: tabular-nums; }
time, .nowrap { white-space: nowrap; }
.scroll { overflow-x: auto; }
.quiet { color: var(--quiet); } .small { font-size: .875rem; }
.firing, .failing, .critical { color: var(--alarm); font-weight: 600; }
.degraded, .warning, .silent { color: var(--warn); }
.watching, .ok, .resolved { color: var(--good); }
.cards { display: flex; flex-wrap: wrap; gap: .6rem; list-style: none; margin: .8rem 0; padding: 0; }
.cards li { background: var(--card); border: 1px solid var(--line); border-radius: .4rem; padding: .4rem .9rem; }
.cards strong { display: block; font-size: 1.5rem; line-height: 1.2; font-variant-numeric: tabular-nums; }
.open { list-style: none; margin: 0; padding: 0; }
.open li { border-left: .35rem solid var(--line); background: var(--card); padding: .5rem .9rem; margin: 0 0 .5rem; }
.open li.critical-edge { border-color: var(--alarm); } .open li.warning-edge { border-color: var(--warn); }
.open p { margin: 0; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; margin: .5rem 0 1rem; }
dt { font-weight: 600; } dd { margin: 0; } td dl { margin: 0; }
form { display: flex; flex-wrap: wrap; gap: .6rem; align-items: end; margin: 1rem 0 0; }
form + details { margin: 1rem 0 0; }
label { font-size: .875rem; color: var(--quiet); } input, select, button { font: inherit; display: block;
  color: var(--ink); background: var(--page); border: 1px solid var(--quiet); border-radius: .3rem;
  padding: .35rem .6rem; }
button { background: var(--card); cursor: pointer; }
.pages { display: flex; flex-wrap: wrap; gap: .3rem 1rem; margin: 1rem 0; }
pre { overflow-x: auto; background: var(--card); padding: .6rem; } code { font-size: .95em; }
svg { display: block; max-width: 100%; } svg:not(.life) { height: auto; } svg.life { width: 100%; }
.ends { display: flex; justify-content: space-between; max-width: none; }
svg text { fill: var(--quiet); font: 12px system-ui, sans-serif; }
.now { fill: var(--now); } .then { fill: none; stroke: var(--then); stroke-width: 1.5; }
.axis { stroke: var(--line); } .edge { stroke: var(--ink); stroke-width: 2; } .beyond { fill: var(--alarm); }
.reach { stroke: var(--now); stroke-width: 4; } .frame { fill: none; stroke: var(--line); }
.within { fill: var(--good); } .bed { fill: var(--line); } .fact { fill: var(--ink); } .span { fill: var(--alarm); }
.span.over { fill: var(--then); }
@media (max-width: 62rem) { table.stack thead { position: absolute; left: -100vw; width: 1px; overflow: hidden; }
  table.stack tr, table.stack th, table.stack td { display: block; border: 0; padding: .1rem 0; text-align: left; }
  table.stack tr { display: flex; flex-wrap: wrap; gap: 0 1.6rem; border-bottom: 1px solid var(--line);
    padding: .5rem 0; }
  table.stack th { flex-basis: 100%; } table.stack td { padding-right: 0; }
  table.stack td[data-label]::before { content: attr(data-label) ": "; color: var(--quiet); font-size: .875rem; }
}
@media (max-width: 36rem) { dl { grid-template-columns: 1fr; } dd { margin: 0 0 .4rem; } }
@media print { form, .pages, header nav { display: none; } }
""".strip()
STYLE_SOURCE = f"'sha256-{base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()}'"
"""What the content security policy allows as a style: this one and no other."""
