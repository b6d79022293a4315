"""Training on images with human scores, and evaluation against them."""
