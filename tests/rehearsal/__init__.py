"""What is wrong with servers: faults that a proxy puts into the answers of a healthy one."""
