"""What went wrong, told to people: promoted from durable rows, delivered or accounted for."""
