"""`python -m benchmarks VERB`."""

from benchmarks.cli.app import main

if __name__ == "__main__":
    main()
