"""What an evaluation leaves: the terminal's tables, the JSON report, values per query, comparisons."""
