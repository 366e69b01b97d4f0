"""Tests of the quality gate: gate runs, reports, numbers and Q1."""
