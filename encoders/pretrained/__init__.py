"""Other people's models: text towers to start from, and audio models to be measured beside ours."""
