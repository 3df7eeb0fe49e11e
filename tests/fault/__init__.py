"""Faults that are produced for real: processes killed and frozen, networks cut, disks full, bits flipped."""
