"""File systems are known by the kernel's number."""

from pathlib import Path

import pytest

from baseline_metrics.file_systems import Nature, StatfsError, file_system_of, named


@pytest.mark.parametrize(
    ("magic", "name", "nature"),
    [
        (0xEF53, "ext2/3/4", Nature.LOCAL),
        (0x9123683E, "btrfs", Nature.LOCAL),
        (0x01021994, "tmpfs", Nature.LOCAL),
        (0x6969, "NFS", Nature.NETWORK),
        (0xFF534D42, "CIFS", Nature.NETWORK),
        (0xFE534D42, "SMB2/3", Nature.NETWORK),
        (0x65735546, "FUSE", Nature.NETWORK),
        (0x01021997, "9p", Nature.NETWORK),
        (0x12345678, "file system 0x12345678", Nature.UNKNOWN),
    ],
)
def test_each_kind_has_its_nature(magic: int, name: str, nature: Nature) -> None:
    """What no table has is unknown, neither good nor bad."""
    found = named(magic)
    assert (found.name, found.nature) == (name, nature)


def test_the_kernel_is_asked() -> None:
    """/proc is a file system of the kernel's own, which no table has: its number is 0x9fa0."""
    assert file_system_of("/proc").name == "file system 0x9fa0"


def test_a_path_that_is_not_there_is_an_error_with_its_name(tmp_path: Path) -> None:
    """Not an unknown kind."""
    with pytest.raises(StatfsError, match="absent"):
        file_system_of(str(tmp_path / "absent"))
