"""What is there to watch, what would it cost, what could not be seen, and what is wrong with it now?"""
