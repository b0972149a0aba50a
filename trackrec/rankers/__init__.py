"""Rankers that read a RecCoT as a vector: examples, inputs, fit, DIN and DCNv2."""
