"""What a data round takes of its engines: measured on some prompts, predicted for all."""
