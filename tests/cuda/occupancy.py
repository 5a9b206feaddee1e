"""Theoretical occupancy of kernels: the limits of an architecture's multiprocessors, and what a block takes of them.

The limits are those of the CUDA C++ Programming Guide, "Technical Specifications per Compute Capability"; the units of
allocation those of cuda_occupancy.h of CUDA 13.0.
"""
from collections import namedtuple

Limits = namedtuple("Limits", "threads blocks shared reserved shared_unit")
REGISTERS, REGISTER_UNIT, WARP, PARTITIONS = 65536, 256, 32, 4  # of all architectures here

# Threads and blocks of a multiprocessor, its shared memory in bytes, what of it each block loses to the system, and the
# unit in which it is given.
LIMITS = {
    75: Limits(1024, 16, 64 << 10, 0, 256),
    80: Limits(2048, 32, 164 << 10, 1 << 10, 128),
    86: Limits(1536, 16, 100 << 10, 1 << 10, 128),
    89: Limits(1536, 24, 100 << 10, 1 << 10, 128),
    90: Limits(2048, 32, 228 << 10, 1 << 10, 128),
    100: Limits(2048, 32, 228 << 10, 1 << 10, 128),
    120: Limits(1536, 24, 100 << 10, 1 << 10, 128),
}


def rounded_up(value, unit):
    return -(-value // unit) * unit


def occupancy(architecture, threads, registers, shared):
    """Warps that a multiprocessor holds at most, in per cent of what it has room for."""
    limits = LIMITS[architecture]
    warps = rounded_up(threads, WARP) // WARP
    # Warps are dealt to partitions, each with its part of the registers.
    of_registers = REGISTERS // PARTITIONS // rounded_up(registers * WARP, REGISTER_UNIT) * PARTITIONS // warps
    blocks = min(limits.blocks, limits.threads // (warps * WARP), of_registers)
    taken = rounded_up(shared + limits.reserved, limits.shared_unit)
    if taken:
        blocks = min(blocks, limits.shared // taken)
    return 100 * blocks * warps * WARP // limits.threads
