"""What an engineer on call would see, shown on this machine: drift, loss, silence."""
