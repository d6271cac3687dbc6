"""Contains the commands that people can type: one module for each command, in folders by kind of resource."""
