"""Training on pictures with human scores, and evaluation against them."""
