"""Sources that learn next to nothing: popularity, repeats, chance."""
