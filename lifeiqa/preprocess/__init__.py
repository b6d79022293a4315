"""An image becomes crops: decode, check for damage, resize, cut; here or in processes."""
