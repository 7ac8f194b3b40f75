"""What held-out listening asks: queries with the songs that were really chosen. Validation tunes, test measures.

- next-song: before each wanted play of the period, what the listener had played until then; the play is the target.
- discovery: the same before each play of a song that is new to the listener; heard songs are not answered.
- playlist: the first songs (and the title) of a held-out playlist; the rest are the targets.
- cold-start: what a listener had played before the period; the targets are the songs without a single play or playlist
  entry in what models learn from that the listener then plays for the first time. Without listeners: a playlist's.
- session: the beginning of a session and nothing else, not even who listens; the next wanted play is the target.
- cold-user: listeners without a play before the period; the first half of their plays is given.
- new-user: every listener of the period as if new; their first three plays of it are given.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
