"""From a history to songs: vector index, candidate sources, fusion and ranking, the Recommender and its commands."""
