"""From records to leaderboards, plots and the page of all suites."""
