"""An example of a browser job as an asset."""
