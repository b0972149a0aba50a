"""Recommenders that read a RecCoT as a vector: text vectors, feature tensors, adaptor, DIN, fit, comparison of arms."""
