"""Choosing hyperparameters: a space, a search, trials that are cells on validation images, a suite of what was chosen."""
