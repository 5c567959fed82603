"""Whether a device trains as the processor does, and how fast: `python -m benchmarks selftest`, `make gpu-check`."""
