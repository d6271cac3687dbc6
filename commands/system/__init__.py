"""Commands about engines, events, jobs and Quarterdeck itself."""
