"""Who looks on while a cell runs: the runner's terminal, `status`, the log, trackers."""
