"""Comparators: how two values of one output are compared. One file each; `gnomon.ports.Comparator` is the seam."""
