"""Questions with a filter: the filter decided per origin, then walked in blocks within a budget.

`plan` decides what is looked up, `cells` answers from rollups what needs no event, `scan` walks the
rest where `spans` says and as `walk` reads, `prefilter` lets the database leave out most rows;
`page` and `totals` and `bars` are what is made of them. `reader` is the port on top: an engine that
answers otherwise stands beside it, not in it.
"""
