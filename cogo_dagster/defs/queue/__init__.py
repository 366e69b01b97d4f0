"""Assets of the queue, the Dagster jobs that process it, and the sensors that launch them."""
