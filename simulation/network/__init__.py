"""The network of a world: ways with conditions, connections that break as real ones do, partitions."""
