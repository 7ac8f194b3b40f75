"""File formats that several importers read: archives, delimited text, JSON records, file names."""
