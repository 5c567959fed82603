"""The contract of a method, put to the proof."""
