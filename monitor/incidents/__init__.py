"""What is wrong: life cycle, grouping, ranking."""
