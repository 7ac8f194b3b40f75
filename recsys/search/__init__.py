"""Search by words of titles, artists and albums, which no vector replaces: whoever types a title wants that song."""
