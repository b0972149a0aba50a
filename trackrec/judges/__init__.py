"""Judges (validators): who reads a RecCoT and predicts; the rewards and preferences that follow."""
