"""What the course needs on this machine: what is there, and how to get what is not."""
