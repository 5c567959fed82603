"""Other programs' results: what they need to train on a scenario as it is here, and records of what they predict."""
