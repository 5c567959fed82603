"""The page of all suites."""
