"""What happens to a workspace between two builds: listens, feedback, blocks, takedowns and new songs, kept for ever."""
