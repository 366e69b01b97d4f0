"""From a failure to a message that was delivered, or is accounted for."""
