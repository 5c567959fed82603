"""What every method is made of: the contract, recipes and phases, batches, losses, precision."""
