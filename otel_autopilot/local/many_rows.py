"""Many rows in few statements: a statement runs without Python's lock, so that other threads work meanwhile.

`executemany` takes and leaves the lock for each row, and beside a thread that computes waits for it each time.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import chain
from typing import Any

#: Rows of one statement. A few sizes, so that the connection remembers the statements.
_SIZES = (256, 64, 16, 4, 1)


def insert(connection: sqlite3.Connection, head: str, rows: Sequence[Sequence[Any]], tail: str = "") -> list[Any]:
    """Run ``head VALUES (...), (...) tail`` for all rows; returns what ``tail`` returns."""
    if not rows:
        return []
    one = f"({','.join('?' * len(rows[0]))})"
    returned: list[Any] = []
    at = 0
    for size in _SIZES:
        statement = f"{head} VALUES {','.join([one] * size)} {tail}"
        while len(rows) - at >= size:
            returned += connection.execute(statement, list(chain.from_iterable(rows[at : at + size]))).fetchall()
            at += size
    return returned
