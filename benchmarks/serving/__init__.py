"""Compares Tandem with other model servers: the same network, weights, picture and machine."""
