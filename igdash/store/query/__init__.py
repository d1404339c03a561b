"""Questions with a filter: the filter decided per origin, then walked in blocks within a budget.

`scan` walks, `plan` decides what is looked up, `prefilter` lets the database leave out most rows,
`page` and `totals` and `bars` are what is made of the rows.
"""
