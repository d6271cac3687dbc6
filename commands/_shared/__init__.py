"""Contains code that several commands share: selecting targets, planning changes, rendering tables."""
