"""The language model runtime: losses, answers, sampling, training."""
