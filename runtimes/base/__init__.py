"""Provides what every adapter shares: the table of actions and their methods, jobs, and the validation of arguments."""
