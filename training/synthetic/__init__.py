"""What interfering factors in preference pairs do: the synthetic experiments of the paper."""
