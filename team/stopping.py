"""Whether this worker was told to end: long work that comes in pieces looks between them."""

from __future__ import annotations

import mmap

# Shared with the pool processes, which are forked from the one that hears the signal.
_told = mmap.mmap(-1, 1)


def tell_to_stop() -> None:
    _told[0] = 1


def is_told_to_stop() -> bool:
    return bool(_told[0])
