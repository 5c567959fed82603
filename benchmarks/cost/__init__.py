"""What a cell costs, before it is run."""
