"""What an answer may hold: the catalogue's artists, genres, dates and lengths, as wishes name them."""
