"""What exists now: a mirror of each engine, the fleet of all of them, and matching names against it."""
