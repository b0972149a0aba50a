"""RecCoTs: who writes them, who judges them, and how both learn from each other."""
