"""What every adapter shares: the table from action to method, jobs, validation of arguments."""
