"""What `cogo doctor` checks, one module for each thing that is checked."""
