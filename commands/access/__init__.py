"""Commands about permissions, questions and the audit trail."""
