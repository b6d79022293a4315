"""How well a model agrees with people, on which pictures, and what its figures look like."""
