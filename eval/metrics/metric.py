"""A metric by its parts: the slice of the targets it is measured on, its name, its cutoff. Reports write it as text."""

from typing import NamedTuple, Self


class Metric(NamedTuple):
    """`cold/ndcg@100` is NDCG among the first 100 answers, on songs that are new to the models.

    slice: empty for all targets. k: None where there is no cutoff.
    """

    slice: str
    name: str
    k: int | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """The metric that a report means.

        >>> Metric.parse("cold/ndcg@100"), str(Metric.parse("seeds:1-5/clicks"))
        (Metric(slice='cold', name='ndcg', k=100), 'seeds:1-5/clicks')
        """
        of, _, plain = text.rpartition("/")
        name, _, cutoff = plain.partition("@")
        return cls(of, name, int(cutoff) if cutoff else None)

    def __str__(self) -> str:
        return f"{self.prefix}{self.plain}"

    @property
    def plain(self) -> str:
        """As it is called on all targets, such as `ndcg@100`."""
        return self.name if self.k is None else f"{self.name}@{self.k}"

    @property
    def prefix(self) -> str:
        """What stands before `plain`: `cold/`, or nothing."""
        return f"{self.slice}/" if self.slice else ""
