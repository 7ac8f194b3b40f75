"""Sources that learn from the order of plays: transitions, similar sessions, SASRec."""
