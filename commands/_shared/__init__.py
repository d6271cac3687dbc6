"""What several commands share: selecting targets, running changes, rendering tables."""
