"""One cell, from settings to record."""
