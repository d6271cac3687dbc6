"""What only the build of the image runs."""
