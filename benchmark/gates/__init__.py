"""What a network costs, and whether it keeps within the limits. Measured on the untrained network, before training."""
