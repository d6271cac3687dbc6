"""Commands that answer a pending question: confirm it or cancel it."""
