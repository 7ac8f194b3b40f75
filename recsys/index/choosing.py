"""Which kind of index fits a catalogue: chosen from the number of songs and the memory, where nobody named one."""

import os
from contextlib import suppress
from pathlib import Path

EXACT_UP_TO = 50_000
"""Songs that one exact query looks through in 2 ms: 4.1 ms for 100,000 songs of 128 numbers on one core, where inverted
lists took 0.5 ms and found 0.999 of the nearest 100 (simulated clusters)."""
LISTS_UP_TO = 1_000_000
"""Songs whose whole vectors inverted lists hold: half a gigabyte of 128 numbers each. Compressed, in 84 bytes each,
they are a sixth of that, and re-ranking reads the few it needs from the disk. HNSW is never chosen: for 100,000 songs
it took 130 s to build on one core where lists took 10 s, held half as much memory again, and answered no faster."""
SHARE_OF_MEMORY = 8
"Whole vectors may take one part in so many of the machine's memory: models and answers need the rest."


def kind_for(songs: int, dimension: int, memory: int) -> str:
    """A name in `recsys.index.BACKENDS` for so many songs. memory: bytes that the machine has."""
    if songs <= EXACT_UP_TO:
        return "faiss-flat"
    if songs <= LISTS_UP_TO and 4 * dimension * songs * SHARE_OF_MEMORY <= memory:
        return "faiss-ivf"
    return "faiss-ivfpq"


def memory_bytes() -> int:
    """What this machine has, or the container that this runs in may use."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(OSError, ValueError):  # no control group, or one without a bound ("max")
        memory = min(memory, int(Path("/sys/fs/cgroup/memory.max").read_text("ascii")))
    return memory
