"""Writers of the RecCoTs that the generator is distilled from."""
