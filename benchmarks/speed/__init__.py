"""The harness against plain loops that do the same arithmetic."""
