"""The runner, laid out along the road of a cell: request -> records -> cell -> cost -> executors, then the views of what
is recorded (report, gate, ledger), the contract, and the command line over all. Imports go back along it only."""

__version__ = "0.1.0"
