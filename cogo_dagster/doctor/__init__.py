"""Checks of `cogo doctor`: whether the services that the settings use work, with advice."""
