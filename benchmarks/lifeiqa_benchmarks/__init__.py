"""What regenerates the figures that the project states."""
