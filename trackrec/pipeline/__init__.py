"""The recipe at work: data, the alternating loop, tests, features. Only here are the parts joined."""
