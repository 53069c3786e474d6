"""Compiled inner loops, each with a twin in numpy that says what it does."""
