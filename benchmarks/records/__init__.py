"""What cells leave: one strict model, written whole and checked when read."""
