"""Commands about services of compose projects and Swarms."""
