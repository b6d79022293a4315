"""How well a model agrees with people, and on which images; monotonicity; figures."""
