"""Tests of `cogo doctor`."""
