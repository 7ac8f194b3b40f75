"""Figures from the literature beside ours, each with its source and the differences in protocol."""

from typing import NamedTuple

FROM_NOTES = "the figures stand in this project's notes (EVALUATION.md) and were not checked against the publication"


class PublishedResult(NamedTuple):
    """figures: (model, metric, value). differences: why these are not ours to beat or to lose to."""

    what: str
    source: str
    figures: tuple[tuple[str, str, float], ...]
    differences: tuple[str, ...]


PUBLISHED: dict[str, tuple[PublishedResult, ...]] = {
    "playlist": (
        PublishedResult(
            "RecSys Challenge 2018, the best team of the main track on the challenge set",
            "Zamani, Schedl, Lamere, Chen: An Analysis of Approaches Taken in the ACM RecSys Challenge 2018 for "
            "Automatic Music Playlist Continuation, arXiv 1810.01520, abstract",
            (("winner", "R-precision", 0.2241), ("winner", "NDCG@500", 0.3946), ("winner", "Clicks", 1.784)),
            (
                "Another data set: one million playlists to learn from, 10,000 to continue",
                "Ten scenarios of 1,000 playlists each, averaged: the title alone, or 1 to 100 songs, most with it; "
                "here the songs that the protocol above names are given",
                "R-precision there counts a quarter for the right artist (ours of that kind is called R-precision with "
                "artists)",
                "NDCG, by the published text, discounts by log2(rank) from rank 2 on and idealises over the hits; ours "
                "by log2(rank + 1) and over min(|G|, 500), so ours is the stricter",
                "Every wanted song there stands in a training playlist (README of the challenge set): none is cold",
            ),
        ),
    ),
    "next-song": (
        PublishedResult(
            "Yambda, 50 million listens, as re-run by others",
            f"data set and protocol: Yambda-5B, arXiv 2505.22238; {FROM_NOTES}, nor do the notes say who re-ran them",
            (
                ("popularity with decay", "Recall@10", 0.0226),
                ("popularity with decay", "Recall@100", 0.0479),
                ("SASRec", "Recall@10", 0.0463),
                ("SASRec", "Recall@100", 0.0828),
                ("item-kNN with decay", "Recall@10", 0.0631),
                ("item-kNN with decay", "Recall@100", 0.1085),
            ),
            (
                "Another data set, with a far larger catalogue",
                "All songs that a listener plays at least half of on the last day are the targets of one query there; "
                "here every such play is a query of its own with the past up to it",
                "As here, heard songs are not filtered, and every model ranks the whole catalogue",
            ),
        ),
    ),
    "session": (
        PublishedResult(
            "30Music, the next songs inside a session",
            "Ludewig, Mauro, Latifi, Jannach: Empirical Analysis of Session-based Recommendation Algorithms "
            f"(the session-rec study); {FROM_NOTES}",
            (
                ("VSKNN", "Recall@20", 0.235),
                ("VSKNN", "MRR@20", 0.116),
                ("VSTAN", "Recall@20", 0.231),
                ("VSTAN", "MRR@20", 0.156),
                ("sequential rules", "Recall@20", 0.194),
                ("sequential rules", "MRR@20", 0.241),
                ("GRU4Rec", "Recall@20", 0.153),
                ("GRU4Rec", "MRR@20", 0.237),
            ),
            (
                "Another data set",
                "Recall there is of all songs that remain in the session, MRR of the next one alone (so the one can be "
                "the smaller); here both are of the next one",
                "Songs that models did not learn from are left out of the test there; here they are the cold targets "
                "and count",
                "The mean is over five slices there, of 90 days to learn from and 5 to test on",
            ),
        ),
    ),
}
"""Task -> what others published."""
