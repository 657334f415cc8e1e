"""How child processes are started: with no working directory on their path to modules.

Python puts it first there, and a command that is run where attachments were saved would import a ``rich.py`` among them. The
children of this process inherit ``PYTHONSAFEPATH``, unless the environment says otherwise.
"""

from __future__ import annotations

import multiprocessing
import os
from multiprocessing.context import ForkServerContext, SpawnContext


def forkserver() -> ForkServerContext:
    """A context for children that are forked from a server: quick to start."""
    os.environ.setdefault("PYTHONSAFEPATH", "1")
    return multiprocessing.get_context("forkserver")


def spawn() -> SpawnContext:
    """A context for children that begin as new."""
    os.environ.setdefault("PYTHONSAFEPATH", "1")
    return multiprocessing.get_context("spawn")
