"""Commands about permissions and the audit."""
