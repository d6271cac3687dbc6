"""Provides what every adapter shares: the table from action to method, jobs, the validation of arguments."""
