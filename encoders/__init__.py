"""From a track to a vector: log-mel front end, HTCL model, its two training stages, batch embedding."""
