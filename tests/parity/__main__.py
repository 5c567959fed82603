"""`python -m tests.parity`: writes results/published/parity.md from the golden cases, run now."""

from tests.parity.page import PAGE, page

if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
