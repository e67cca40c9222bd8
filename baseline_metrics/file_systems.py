"""What kind of file system a path lies on, by the number that the kernel gives it.

Python's statvfs leaves that number out, so the C library's statfs is asked. A database on a network file system loses
what makes it safe: locks that hold between hosts, and a sync that reaches a disk. Processes: launcher.
"""

import ctypes
import os
import sys
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

STATFS_BYTES = 512
"""struct statfs has 120 bytes on 64-bit Linux; the rest is room for architectures with more."""


class Nature(Enum):
    """What may be expected of a file system."""

    LOCAL = "local"
    NETWORK = "network"  # its syncs and locks end at another host, or in a program
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSystem:
    """One kind. name: as people call it; a kind that is not in the tables is called by its number."""

    name: str
    nature: Nature


_LOCAL = MappingProxyType(
    {
        0xEF53: "ext2/3/4",
        0x58465342: "xfs",
        0x9123683E: "btrfs",
        0x01021994: "tmpfs",
        0x858458F6: "ramfs",
        0x2FC12FC1: "zfs",
        0xF2F52010: "f2fs",
        0xCA451A4E: "bcachefs",
        0x3153464A: "jfs",
        0x52654973: "reiserfs",
        0x3434: "nilfs2",
        0x794C7630: "overlayfs",  # a container's: what is written lies in its upper directory, on a disk of the host
        0x7366746E: "ntfs3",
        0x2011BAB0: "exfat",
        0x4D44: "vfat",
    }
)
"""Kinds whose sync ends at a disk of this host, or in its memory. From linux/magic.h and the file systems' own headers."""

_NETWORK = MappingProxyType(
    {
        0x6969: "NFS",
        0x517B: "SMB",
        0xFF534D42: "CIFS",
        0xFE534D42: "SMB2/3",
        0x65735546: "FUSE",
        0x01021997: "9p",
        0x00C36400: "CephFS",
        0x5346414F: "AFS",
        0x6B414653: "AFS",
        0x73757245: "Coda",
        0x0BD00BD0: "Lustre",
        0x01161970: "GFS2",
        0x7461636F: "OCFS2",
        0x47504653: "GPFS",
        0x786F4256: "VirtualBox shared folder",
    }
)
"""Kinds of other hosts, of clusters, and of programs that answer for a file system."""


class StatfsError(OSError):
    """The kernel did not say."""


def file_system_of(path: str) -> FileSystem:
    """The kind of file system that ``path`` lies on. Raises StatfsError."""
    return named(_magic_of(path))


def named(magic: int) -> FileSystem:
    """The kind with this number."""
    if magic in _LOCAL:
        return FileSystem(name=_LOCAL[magic], nature=Nature.LOCAL)
    if magic in _NETWORK:
        return FileSystem(name=_NETWORK[magic], nature=Nature.NETWORK)
    return FileSystem(name=f"file system 0x{magic:x}", nature=Nature.UNKNOWN)


def _magic_of(path: str) -> int:
    library = ctypes.CDLL(None, use_errno=True)
    answer = ctypes.create_string_buffer(STATFS_BYTES)
    if library.statfs(os.fsencode(path), answer) != 0:
        number = ctypes.get_errno()
        raise StatfsError(number, os.strerror(number), path)
    # The first member, a long on every Linux but s390; read as unsigned 32 bits, because that is what the numbers are.
    first = answer.raw[: ctypes.sizeof(ctypes.c_long)]
    return int.from_bytes(first, sys.byteorder) & 0xFFFFFFFF
