"""How well a model agrees with people, on which images, and what its figures look like."""
