"""The vocabulary of what comes in: raw records and the columns they become."""
