"""An image file becomes crops: decode, RGB rows on demand, integrity, resize, crop plan."""
