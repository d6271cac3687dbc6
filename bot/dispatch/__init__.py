"""The one road of a command: parse, authorise, confirm, record, run, reply."""
