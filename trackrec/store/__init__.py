"""Stores: a published text and its vectors by a person's id, version beside version, in a file, LMDB or Redis."""
