"""Published figures beside ours: never without their source and what was done differently there."""

from typing import NamedTuple


class Published(NamedTuple):
    """figures: (model, metric, value). differences: why these are not ours to beat or to lose to."""

    what: str
    source: str
    figures: tuple[tuple[str, str, float], ...]
    differences: tuple[str, ...]


PUBLISHED: dict[str, tuple[Published, ...]] = {
    "playlist": (
        Published(
            "RecSys Challenge 2018, the winning team on the challenge set",
            "Chen, Lamere, Schedl, Zamani: RecSys Challenge 2018: automatic music playlist continuation, "
            "arXiv 1810.01520",
            (("winner", "R-precision", 0.2241), ("winner", "NDCG@500", 0.3946), ("winner", "Clicks", 1.784)),
            (
                "Another data set: one million playlists to learn from, 10,000 to continue",
                "Ten scenarios of 1,000 playlists each, averaged: the title alone, or 1 to 100 songs, most with it; "
                "here the songs that the protocol above names are given",
                "R-precision there counts a quarter for the right artist (ours of that kind is called R-precision with "
                "artists)",
                "NDCG there discounts by log2(rank) from rank 2 on and idealises over the hits; ours by log2(rank + 1) "
                "and over min(|G|, 500), so ours is the stricter",
                "Every wanted song there also stands in a training playlist: none is cold",
            ),
        ),
    ),
    "next-song": (
        Published(
            "Yambda, 50 million listens, as re-run by others",
            "data set and protocol: Yambda-5B, arXiv 2505.22238",
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
                "All wanted plays of a listener's last day are the targets of one query there; here every play is a "
                "query of its own with the past up to it",
                "A gap of 30 minutes lies between past and future there",
                "Models there are trained again with the validation part folded in",
                "As here, heard songs are not filtered, and every model ranks the whole catalogue",
            ),
        ),
        Published(
            "30Music, next song inside a session",
            "Ludewig, Mauro, Latifi, Jannach: Empirical Analysis of Session-based Recommendation Algorithms "
            "(the session-rec study)",
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
                "Another data set, and sessions without a listener: only the songs of the running session are known",
                "Songs that were not in training are left out of the test there; here they are the cold targets and "
                "count",
                "The mean is over several slices of time there",
            ),
        ),
    ),
}
"""Task -> what others published."""
