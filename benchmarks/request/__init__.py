"""What is asked for: suites, their cells, and what decides the identity of each."""
