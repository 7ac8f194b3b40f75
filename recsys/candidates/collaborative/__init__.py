"""Sources that learn from who plays what together: item similarities and latent factors."""
