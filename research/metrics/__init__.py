"""Measures that studies alone report: corrections for many comparisons, cold start, calibration, ranked lists."""
