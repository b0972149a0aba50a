"""From texts to vectors: the encoder and the projection."""
