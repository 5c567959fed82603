"""What methods share: memories, teachers, importance, heads, projections."""
