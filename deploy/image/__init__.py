"""Contains the programs that only the build of the image runs."""
