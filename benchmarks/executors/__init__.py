"""Ways to get a grid's cells run."""
