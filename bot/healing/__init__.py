"""Acts on alerts by itself, within a budget: self-healing."""
