"""Tests of `cogo drill`."""
