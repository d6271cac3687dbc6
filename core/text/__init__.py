"""Text from strangers: parsing command lines, removing control characters, hiding secrets."""
