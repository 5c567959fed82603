"""What `init` writes: a repository with a method of its own, a suite, and the gate in CI."""
