"""Songs to vectors: reading sound, batches, the catalogue in resumable blocks, and what words are worth."""
