"""igdash: Inspektor Gadget sessions that outlive their viewers.

Collectors write every session's events to a database; everything else only reads that history.
`docs/architecture.md` has the map of the packages and the two paths worth knowing.
"""

from __future__ import annotations

__version__ = "0.1.0"
