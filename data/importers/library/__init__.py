"""Importer of a folder of music: its files, their tags, and the playlists in it."""
