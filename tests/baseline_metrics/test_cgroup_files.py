"""Limits of control groups on made-up trees, where every version and oddity can be had, and on the real one."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from baseline_metrics.cgroup_files import NO_LIMIT, CgroupFiles, CpuRoom, MemoryRoom
from baseline_metrics.host_files import HostFiles, usable_cores
from baseline_metrics.samples import Gap, Sample

MIB = 1 << 20
UNLIMITED_V1 = "9223372036854771712"


class Tree:
    """A made-up root with one process in some groups."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "proc/self").mkdir(parents=True)
        self._mounts: list[str] = []
        self._groups: list[str] = []

    def mount(self, point: str, *, kind: str, options: str, mount_root: str = "/") -> None:
        """One line of mountinfo."""
        self._mounts.append(f"31 23 0:28 {mount_root} {point} rw,relatime shared:9 - {kind} {kind} {options}")
        (self.root / "proc/self/mountinfo").write_text("\n".join(self._mounts) + "\n", encoding="utf-8")

    def group(self, line: str) -> None:
        """One line of /proc/self/cgroup."""
        self._groups.append(line)
        (self.root / "proc/self/cgroup").write_text("\n".join(self._groups) + "\n", encoding="utf-8")

    def write(self, path: str, **files: str) -> None:
        """Files of one group; a dot in a name is written as two underscores."""
        directory = self.root / path.lstrip("/")
        directory.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (directory / name.replace("__", ".")).write_text(content + "\n", encoding="utf-8")

    def memory(self, available_kib: int, total_kib: int) -> None:
        """What the host has."""
        (self.root / "proc/meminfo").write_text(f"MemTotal: {total_kib} kB\nMemAvailable: {available_kib} kB\n")


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """An empty tree."""
    return Tree(tmp_path)


@pytest.fixture
def v2(tree: Tree) -> Tree:
    """A process two groups deep in the unified hierarchy."""
    tree.mount("/sys/fs/cgroup", kind="cgroup2", options="rw,nsdelegate")
    tree.group("0::/outer.slice/inner.scope")
    return tree


def group_v2(tree: Tree, path: str, limit: str, *, current: int, cache: int = 0, dirty: int = 0) -> None:
    """One group's memory."""
    stat = f"anon 1\ninactive_file {cache}\nactive_file 0\nfile_dirty {dirty}\nfile_writeback 0"
    tree.write(f"/sys/fs/cgroup{path}", memory__max=limit, memory__current=str(current), memory__stat=stat)


def looked_at(tree: Tree) -> MemoryRoom | object:
    """What the tree leaves."""
    files = CgroupFiles(root=str(tree.root))
    try:
        return files.memory()
    finally:
        files.close()


def room(limit: float, available: float) -> MemoryRoom:
    """Both known."""
    return MemoryRoom(limit_bytes=Sample(value=limit), available_bytes=Sample(value=available))


def test_without_a_limit_there_is_none(v2: Tree) -> None:
    """All levels say max."""
    group_v2(v2, "/outer.slice/inner.scope", "max", current=5 * MIB)
    group_v2(v2, "/outer.slice", "max", current=50 * MIB)
    assert looked_at(v2) is NO_LIMIT


def test_a_host_without_control_groups_has_no_limit(tree: Tree) -> None:
    """No such files at all."""
    assert looked_at(tree) is NO_LIMIT


@pytest.mark.parametrize(
    ("outer", "inner", "expected"),
    [
        ("max", str(512 * MIB), room(512 * MIB, 412 * MIB)),
        (str(600 * MIB), "max", room(600 * MIB, 300 * MIB)),
        (str(600 * MIB), str(512 * MIB), room(512 * MIB, 300 * MIB)),
        (str(450 * MIB), str(512 * MIB), room(450 * MIB, 150 * MIB)),
    ],
)
def test_the_tightest_ancestor_counts(v2: Tree, outer: str, inner: str, expected: MemoryRoom) -> None:
    """The smallest limit, and the least that any level still leaves: others in the outer group use it as well."""
    group_v2(v2, "/outer.slice/inner.scope", inner, current=100 * MIB)
    group_v2(v2, "/outer.slice", outer, current=300 * MIB)
    assert looked_at(v2) == expected


@pytest.mark.parametrize(("dirty", "available"), [(0, 500), (100, 400), (450, 100)])
def test_page_cache_is_not_use_unless_it_has_to_be_written_first(v2: Tree, dirty: int, available: int) -> None:
    """A load on the disk fills a group with cache; the kernel gives back what is clean."""
    group_v2(v2, "/outer.slice/inner.scope", str(512 * MIB), current=412 * MIB, cache=400 * MIB, dirty=dirty * MIB)
    assert looked_at(v2) == room(512 * MIB, max(available, 100) * MIB)


def test_a_limit_whose_use_cannot_be_read_is_unknown(v2: Tree) -> None:
    """Not "nothing used": a gap."""
    group_v2(v2, "/outer.slice/inner.scope", str(512 * MIB), current=1)
    v2.write("/sys/fs/cgroup/outer.slice/inner.scope", memory__current="what")
    found = looked_at(v2)
    assert isinstance(found, MemoryRoom)
    assert isinstance(found.available_bytes, Gap)


def test_a_use_beyond_the_limit_leaves_nothing(v2: Tree) -> None:
    """Never a negative number of bytes."""
    group_v2(v2, "/outer.slice/inner.scope", str(100 * MIB), current=101 * MIB)
    assert looked_at(v2) == room(100 * MIB, 0.0)


@pytest.mark.parametrize(("limit", "expected"), [(UNLIMITED_V1, NO_LIMIT), (str(64 * MIB), room(64 * MIB, 54 * MIB))])
def test_version_one(tree: Tree, limit: str, expected: MemoryRoom | object) -> None:
    """Its names, its totals over the hierarchy, and its way to say unlimited."""
    tree.mount("/sys/fs/cgroup/memory", kind="cgroup", options="rw,memory")
    tree.group("4:memory:/job")
    stat = (
        f"inactive_file 1\ntotal_inactive_file {6 * MIB}\ntotal_active_file {4 * MIB}\ntotal_dirty 0\ntotal_writeback 0"
    )
    files = {"memory__limit_in_bytes": limit, "memory__usage_in_bytes": str(20 * MIB), "memory__stat": stat}
    tree.write("/sys/fs/cgroup/memory/job", **files)
    assert looked_at(tree) == expected


def test_a_namespaced_group_is_looked_at_from_its_mount(tree: Tree) -> None:
    """A container sees its own group as the root of what is mounted, or a path that leads out of it."""
    tree.mount("/sys/fs/cgroup", kind="cgroup2", options="rw", mount_root="/docker/abc")
    tree.group("0::/docker/abc")
    group_v2(tree, "", str(128 * MIB), current=28 * MIB)
    assert looked_at(tree) == room(128 * MIB, 100 * MIB)


def test_a_limit_that_is_changed_counts_from_then_on(v2: Tree) -> None:
    """It is read anew, through the same descriptors."""
    group_v2(v2, "/outer.slice/inner.scope", str(512 * MIB), current=100 * MIB)
    files = CgroupFiles(root=str(v2.root))
    group_v2(v2, "/outer.slice/inner.scope", str(200 * MIB), current=100 * MIB)
    assert files.memory() == room(200 * MIB, 100 * MIB)
    files.close()


@pytest.mark.parametrize("garbage", ["", "max max max", "\0\0", "-", "1e9"])
def test_garbage_is_no_limit_and_never_an_exception(v2: Tree, garbage: str) -> None:
    """A kernel that says something unknown."""
    group_v2(v2, "/outer.slice/inner.scope", garbage, current=1)
    v2.write("/sys/fs/cgroup/outer.slice/inner.scope", cpu__max=garbage, cpu__stat=garbage)
    files = CgroupFiles(root=str(v2.root))
    assert files.memory() is NO_LIMIT
    assert files.cpu() == ()
    files.close()


@pytest.mark.parametrize(("quota", "expected"), [("max 100000", ()), ("150000 100000", (1.5,))])
def test_a_cpu_quota_of_version_two(v2: Tree, quota: str, expected: tuple[float, ...]) -> None:
    """Cores, and the time that was used of them."""
    v2.write("/sys/fs/cgroup/outer.slice/inner.scope", cpu__max=quota, cpu__stat="usage_usec 77\nuser_usec 5")
    files = CgroupFiles(root=str(v2.root))
    assert files.cpu() == tuple(CpuRoom(cores=cores, used_us=Sample(value=77.0)) for cores in expected)
    files.close()


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize(("quota", "expected"), [("-1", ()), ("50000", (0.5,))])
def test_a_cpu_quota_of_version_one(tree: Tree, quota: str, expected: tuple[float, ...], *, together: bool) -> None:
    """The account is mounted with the quota or beside it."""
    if together:
        tree.mount("/sys/fs/cgroup/cpu,cpuacct", kind="cgroup", options="rw,cpu,cpuacct")
        tree.group("1:cpu,cpuacct:/job")
        quotas = accounts = "/sys/fs/cgroup/cpu,cpuacct/job"
    else:
        tree.mount("/sys/fs/cgroup/cpu", kind="cgroup", options="rw,cpu")
        tree.mount("/sys/fs/cgroup/cpuacct", kind="cgroup", options="rw,cpuacct")
        tree.group("1:cpu:/job")
        tree.group("2:cpuacct:/job")
        quotas, accounts = "/sys/fs/cgroup/cpu/job", "/sys/fs/cgroup/cpuacct/job"
    tree.write(quotas, cpu__cfs_quota_us=quota, cpu__cfs_period_us="100000")
    tree.write(accounts, cpuacct__usage="5000000")
    files = CgroupFiles(root=str(tree.root))
    assert files.cpu() == tuple(CpuRoom(cores=cores, used_us=Sample(value=5000.0)) for cores in expected)
    files.close()


def test_the_hosts_memory_is_cut_to_what_the_groups_leave(v2: Tree) -> None:
    """Total and available each for itself: the smallest of both."""
    v2.memory(available_kib=300 << 10, total_kib=1000 << 10)
    group_v2(v2, "/outer.slice/inner.scope", str(512 * MIB), current=112 * MIB)
    with HostFiles(root=str(v2.root)) as host:
        memory = host.memory()
    assert (memory.total_bytes, memory.available_bytes) == (Sample(value=512.0 * MIB), Sample(value=300.0 * MIB))


@pytest.mark.parametrize(("quota", "cores"), [("max 100000", None), ("50000 100000", 1), ("100000 100000", 1)])
def test_usable_cores_are_whole_and_at_least_one(v2: Tree, quota: str, cores: int | None) -> None:
    """Without a quota, those that this process may run on."""
    v2.write("/sys/fs/cgroup/outer.slice/inner.scope", cpu__max=quota, cpu__stat="usage_usec 1")
    with HostFiles(root=str(v2.root)) as host:
        assert usable_cores(host) == (len(os.sched_getaffinity(0)) if cores is None else cores)


@pytest.fixture
def limited_group() -> Iterator[Path]:
    """A real group of version 1 with 64 MiB, this test's own process in it for as long."""
    memory = Path("/sys/fs/cgroup/memory")
    group = memory / f"daybreak-test-{os.getpid()}"
    if not os.access(memory, os.W_OK) or not (memory / "memory.limit_in_bytes").exists():
        pytest.skip("this kernel, or this user, has no memory control group of version 1 to write to")
    here = next(line for line in Path("/proc/self/cgroup").read_text().splitlines() if ":memory:" in line)
    before = memory / here.split(":memory:")[1].lstrip("/")
    group.mkdir()
    (group / "memory.limit_in_bytes").write_text(str(4096 * MIB))
    (group / "cgroup.procs").write_text(str(os.getpid()))
    yield group
    (before / "cgroup.procs").write_text(str(os.getpid()))
    group.rmdir()


def test_a_real_limit_is_seen(limited_group: Path) -> None:
    """To the page."""
    assert limited_group.is_dir()
    with HostFiles() as host:
        memory = host.memory()
    assert memory.total_bytes == Sample(value=4096.0 * MIB)
    assert isinstance(memory.available_bytes, Sample)
    assert 0 < memory.available_bytes.value < 4096 * MIB
