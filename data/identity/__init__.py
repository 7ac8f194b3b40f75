"""Which track of one table is which track of another, and which file is the same sound under another name."""
