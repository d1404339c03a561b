"""What igdash is about, in plain Python: no I/O, no framework, no thread.

Values here are frozen and keyword-only; `ports.py` says what the outer rings must offer.
"""

from __future__ import annotations
