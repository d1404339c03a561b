"""How a report looks: the dashboard's colours in light and dark, plain black on white on paper."""

from __future__ import annotations

from typing import Final

STYLE: Final = """
:root{color-scheme:light dark;--bg:#f5f7fb;--surface:#fff;--line:#d9e1ec;--text:#121a28;--muted:#4f5b70;
--accent:#2f66f0;--soft:#2f66f022;--warn:#865700;--warn-fill:#b47b04;--ok:#08734d;--err:#b52626}
@media (prefers-color-scheme:dark){:root{--bg:#0b0f17;--surface:#111827;--line:#243149;--text:#e7edf7;
--muted:#9dabc1;--accent:#5b8cff;--soft:#5b8cff33;--warn:#fbbf24;--warn-fill:#fbbf24;--ok:#34d399;--err:#f98b8b}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--text);font:14px/1.5 Inter,system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:1200px;margin:0 auto;padding:32px 24px 48px}
h1{margin:0;font-size:26px;line-height:1.25;overflow-wrap:anywhere}h2{margin:0 0 12px;font-size:16px}h3{margin:0 0 8px;font-size:13px;
font-family:ui-monospace,SFMono-Regular,Menlo,monospace;overflow-wrap:anywhere}
p{margin:6px 0}code,pre,td,time{font-family:ui-monospace,SFMono-Regular,Menlo,monospace;font-size:12px}
header{margin-bottom:20px}.kicker,.sub,.axis,.legend,footer,.card p{color:var(--muted)}.kicker{margin:0 0 4px;font-size:12px}
.sub{overflow-wrap:anywhere}
.state{display:inline-block;padding:1px 9px;border:1px solid currentColor;border-radius:999px;font-size:12px;font-weight:600;color:var(--muted)}
.state.running,.state.stopped{color:var(--ok)}.state.failed{color:var(--err)}.state.interrupted{color:var(--warn)}
section{margin:0 0 20px;padding:18px 20px;background:var(--surface);border:1px solid var(--line);border-radius:10px}
.figures{display:flex;flex-wrap:wrap;gap:10px;padding:0;background:none;border:0}
.figure{flex:1 1 140px;padding:12px 16px;background:var(--surface);border:1px solid var(--line);border-radius:10px}
.figure b{display:block;font-size:22px;font-variant-numeric:tabular-nums}.figure span{color:var(--muted);font-size:12px}
.figure.warn b{color:var(--warn)}
svg{display:block;width:100%;height:180px}.bar{fill:var(--accent)}rect.lost{fill:var(--warn-fill)}
i.lost{display:inline-block;width:9px;height:9px;background:var(--warn-fill)}
.axis{display:flex;justify-content:space-between;margin:4px 0 0}.legend{font-size:12px;margin:2px 0 0}
table{width:100%;border-collapse:collapse}th{color:var(--muted);font-size:12px;font-weight:600;text-align:left}
th,td{padding:4px 10px 4px 0;border-bottom:1px solid var(--line);vertical-align:top}td{overflow-wrap:anywhere}
tr:last-child>td,tr:last-child>th{border-bottom:0}thead tr:last-child>th{border-bottom:1px solid var(--line)}
.num{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}.pairs th{width:190px}
.wide{overflow-x:auto}.wide td:first-child,.time{white-space:nowrap}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(280px,1fr));gap:18px 28px}
.card{min-width:0}.card td{position:relative;padding:3px 8px 3px 6px;border:0}.card td:first-child{width:100%}
.card td i{position:absolute;left:0;top:2px;bottom:2px;background:var(--soft);border-radius:3px}
.card p{font-size:12px}
.wide td{overflow-wrap:break-word}.events td{border-bottom:0}.events tbody>tr:first-child>td{border-top:1px solid var(--line)}
.raw pre{margin:2px 0 8px;padding:10px;white-space:pre-wrap;overflow-wrap:anywhere;background:var(--bg);border:1px solid var(--line);border-radius:6px}
.raw td{max-width:0}
@supports selector(:has(a)){.raw{display:none}tbody:has(details[open])>.raw{display:table-row}}
@media (max-width:600px){main{padding:20px 14px 32px}section{padding:14px}.figures{padding:0}.figure{flex-basis:120px;padding:10px 12px}.figure b{font-size:18px}
.pairs th{width:96px}.axis{flex-direction:column}}
summary{cursor:pointer}footer{font-size:12px}
@media print{
:root{--bg:#fff;--surface:#fff;--line:#bbb;--text:#000;--muted:#444;--accent:#2f66f0;--soft:#2f66f022;--warn:#865700;--warn-fill:#b47b04}
body{font-size:11px}main{max-width:none;padding:0}section{padding:10px 0;border:0;border-radius:0;break-inside:auto}
h2,thead{break-after:avoid}tr,.card,svg{break-inside:avoid}thead{display:table-header-group}
*{-webkit-print-color-adjust:exact;print-color-adjust:exact}.wide{overflow:visible}td,time{font-size:9.5px}}
"""
