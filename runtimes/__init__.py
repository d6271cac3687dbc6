"""Container engines behind one port: an adapter per engine, and what all of them share."""
