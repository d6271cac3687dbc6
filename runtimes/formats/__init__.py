"""Decodes formats that several engines share, without I/O."""
