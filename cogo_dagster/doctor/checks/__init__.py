"""The checks of `cogo doctor`, one module per service."""
