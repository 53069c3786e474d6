"""Does a candidate for a release do worse than what runs now, by more than is tolerated?"""
