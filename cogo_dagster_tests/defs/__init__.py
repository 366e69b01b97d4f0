"""Tests of the Dagster definitions: loading, runs in process on a real queue, and sensors."""
