"""What must hold whatever happens: plans that do not grow with the table, laws of the queue, rivals, poolers."""
