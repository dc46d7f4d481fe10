"""What a run handed to others: one clear line for each, and none for what stays inside."""

from __future__ import annotations

import pytest

from vestige.observe import escapes
from vestige.observe.conclusion import Conclusion, Execution, Process, Sight


def ran(*commands: str, endpoints: dict[str, int] | None = None) -> Conclusion:
    """A run of these commands, the first of which started the others; `endpoints` were connected to by the nth."""
    words = [tuple(command.split()) for command in commands]
    processes = [
        Process(10 + at, 9, 0 if at else None, argv[0], argv, f"/usr/bin/{argv[0]}", "/p", at) for at, argv in enumerate(words)
    ]
    executions = [Execution(at, at, f"/usr/bin/{argv[0]}", argv, "/p") for at, argv in enumerate(words)]
    network = tuple(Sight(endpoint, 1, 1, (by,)) for endpoint, by in (endpoints or {}).items())
    return Conclusion(processes=tuple(processes), executions=tuple(executions), network=network)


def said(conclusion: Conclusion, *, connections: bool = True, hosts: dict[str, str] | None = None) -> list[str]:
    return list(escapes.gaps(conclusion, escapes.contacts(conclusion, hosts or {}), connections=connections))


@pytest.mark.parametrize(
    ("command", "line"),
    [
        ("docker run --rm alpine sort", "docker: the container's files were not seen"),
        ("docker -H tcp://farm:2375 run alpine", "docker: the container's files were not seen"),
        ("podman build .", "podman: the container's files were not seen"),
        ("ssh ada@node17 make", "ssh: what ran on node17 was not seen"),
        ("ssh -p 2222 -i key node17", "ssh: what ran on node17 was not seen"),
        ("ssh -p2222 -oBatchMode=yes ssh://ada@node17:22/ make", "ssh: what ran on node17:22 was not seen"),
        ("scp ada@node17:data/a.csv .", "scp: files on node17 were not seen"),
        ("sftp node17", "sftp: files on node17 were not seen"),
        ("rsync -a --exclude=a:b node17:/data/ node18::mod/x out/", "rsync: files on node17 and node18 were not seen"),
        ("rsync -a rsync://mirror.example:873/debian/ out/", "rsync: files on mirror.example were not seen"),
        ("sbatch job.sh", "sbatch: the job runs elsewhere, and its files were not seen"),
        ("srun -n 4 ./a.out", "srun: the job runs elsewhere, and its files were not seen"),
        ("qsub job.sh", "qsub: the job runs elsewhere, and its files were not seen"),
        ("bsub job.sh", "bsub: the job runs elsewhere, and its files were not seen"),
        ("systemd-run --user sort", "systemd-run: what a service did was not seen"),
        ("systemctl restart cron", "systemctl: what a service did was not seen"),
        ("at now", "at: what was put off runs later, and is not seen"),
        ("batch", "batch: what was put off runs later, and is not seen"),
        ("crontab jobs", "crontab: what was put off runs later, and is not seen"),
    ],
)
def test_a_program_that_hands_work_to_others_leaves_one_line(command: str, line: str) -> None:
    assert said(ran(command)) == [line]
    assert escapes.advice(line)


@pytest.mark.parametrize(
    "command",
    [
        *("docker ps", "docker images -a", "docker", "docker --version", "podman info", "systemctl status cron", "systemctl"),
        *("ssh -V", "ssh", "rsync -a data/ out/", "rsync -a ./a:b out/", "scp a.csv b.csv", "sbatch --version", "crontab -l"),
        *("sort a.csv", "python train.py ssh docker", "grep docker run", "tmux ls", "rsync --server --sender . /data"),
    ],
)
def test_a_question_and_work_done_here_leave_no_line(command: str) -> None:
    assert said(ran(command), connections=False) == []


@pytest.mark.parametrize("program", ["tmux", "screen"])
def test_a_multiplexer_counts_by_its_socket_where_sockets_are_seen(program: str) -> None:
    assert said(ran(f"{program} new -d sort")) == []
    assert said(ran(f"{program} new -d sort"), connections=False) == [f"{program}: what runs in its sessions was not seen"]


def test_what_a_copier_starts_to_reach_its_host_is_said_once() -> None:
    conclusion = ran("rsync -a node17:/data/ out/", "ssh node17 rsync --server --sender . /data/")
    assert said(conclusion) == ["rsync: files on node17 were not seen"]


def test_the_same_is_said_once_however_often_it_is_done() -> None:
    conclusion = ran("sh", "docker run a", "docker run b", endpoints={"unix:/run/docker.sock": 1})
    assert said(conclusion) == ["docker: the container's files were not seen"]


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("/run/docker.sock", "docker: the container's files were not seen"),
        ("/home/ada/.docker/run/docker.sock", "docker: the container's files were not seen"),
        ("/run/user/1000/podman/podman.sock", "podman: the container's files were not seen"),
        ("/run/containerd/containerd.sock", "containerd: the container's files were not seen"),
        ("/run/systemd/private", "systemd: what a service did was not seen"),
        ("/run/dbus/system_bus_socket", "dbus: what other programs did when they were asked was not seen"),
        ("/run/user/1000/bus", "dbus: what other programs did when they were asked was not seen"),
        ("@/tmp/dbus-Ab12", "dbus: what other programs did when they were asked was not seen"),
        ("/run/postgresql/.s.PGSQL.5432", "postgres: what the database answered is not reproducible from files"),
        ("/tmp/.s.PGSQL.5432", "postgres: what the database answered is not reproducible from files"),
        ("/run/mysqld/mysqld.sock", "mysql: what the database answered is not reproducible from files"),
        ("/tmp/tmux-1000/default", "tmux: what runs in its sessions was not seen"),
        ("/run/munge/munge.socket.2", "slurm: the job runs elsewhere, and its files were not seen"),
        ("/srv/app/control", "/srv/app/control: what the program behind this socket did was not seen"),
        ("@control", "@control: what the program behind this socket did was not seen"),
    ],
)
def test_a_socket_tells_who_listens_by_its_name(path: str, line: str) -> None:
    conclusion = ran("python job.py", endpoints={f"unix:{path}": 0})
    assert said(conclusion) == [line]
    assert [one.endpoint for one in escapes.contacts(conclusion, {})] == [f"unix:{path}"]
    assert escapes.advice(line)


@pytest.mark.parametrize(
    "path",
    [
        *("/tmp/.X11-unix/X0", "@/tmp/.X11-unix/X0", "/run/user/1000/wayland-0", "/tmp/ssh-XXXX/agent.123", "/run/nscd/socket"),
        *("/var/run/nscd/socket", "/run/systemd/journal/socket", "/dev/log", "/run/systemd/userdb/io.systemd.DynamicUser"),
        *("/run/systemd/resolve/io.systemd.Resolve", "/home/ada/.gnupg/S.gpg-agent", "/run/user/1000/pulse/native"),
    ],
)
def test_what_draws_signs_and_looks_up_names_does_no_work_for_the_run(path: str) -> None:
    conclusion = ran("python job.py", endpoints={f"unix:{path}": 0})
    assert said(conclusion) == []
    assert escapes.contacts(conclusion, {}) == ()


def test_an_engine_that_was_only_asked_leaves_no_line() -> None:
    asked = ran("sh", "docker ps", endpoints={"unix:/run/docker.sock": 1})
    assert said(asked) == []
    assert said(ran("sh", "python ask.py", endpoints={"unix:/run/docker.sock": 1})) != []


def test_servers_are_named_in_one_line_by_name_where_it_is_known() -> None:
    conclusion = ran(
        "curl -s --url=https://ada@data.example:8443/train.csv",
        "python get.py",
        endpoints={"udp:10.0.0.2:53": 0, "tcp:192.0.2.7:8443": 0, "tcp:[2001:db8::1]:443": 1, "tcp:10.0.0.9:5432": 1},
    )
    hosts = escapes.hosts("127.0.0.1 localhost\n10.0.0.9\tdb.lab db # the database\n\nnonsense\n")
    assert said(conclusion, hosts=hosts) == [
        "network: whatever data.example:8443, 2001:db8::1:443 and db.lab:5432 answered is not reproducible from files"
    ]
    assert [tuple(one) for one in escapes.contacts(conclusion, hosts)] == [
        ("udp:10.0.0.2:53", None),
        ("tcp:192.0.2.7:8443", "data.example"),
        ("tcp:[2001:db8::1]:443", None),
        ("tcp:10.0.0.9:5432", "db.lab"),
    ]


def test_two_hosts_on_a_command_line_name_no_address() -> None:
    conclusion = ran("curl https://a.example/x https://b.example/y", endpoints={"tcp:192.0.2.7:443": 0})
    assert [one.name for one in escapes.contacts(conclusion, {})] == [None]


def test_looking_up_names_alone_is_no_gap() -> None:
    conclusion = ran("python job.py", endpoints={"udp:10.0.0.2:53": 0, "tcp:10.0.0.2:53": 0})
    assert said(conclusion) == []


def test_a_resolvers_trial_of_an_address_is_no_connection_of_its_own() -> None:
    conclusion = ran("python job.py", endpoints={"udp:192.0.2.7:443": 0, "tcp:192.0.2.7:443": 0})
    assert [one.endpoint for one in escapes.contacts(conclusion, {})] == ["tcp:192.0.2.7:443"]


def test_many_servers_are_counted() -> None:
    conclusion = ran("python crawl.py", endpoints={f"tcp:192.0.2.{n}:80": 0 for n in range(1, 9)})
    (line,) = said(conclusion)
    assert line == (
        "network: whatever 192.0.2.1:80, 192.0.2.2:80, 192.0.2.3:80 and 5 more answered is not reproducible from files"
    )


def test_an_engine_that_is_reached_by_a_port_is_one() -> None:
    assert said(ran("python job.py", endpoints={"tcp:192.0.2.1:2376": 0})) == ["docker: the container's files were not seen"]


@pytest.mark.parametrize(
    ("gap", "kind"),
    [
        ("docker: the container's files were not seen", "docker"),
        ("/usr/bin/sudo could not gain privileges under observation; use --observe audit", "setuid"),
        ("ssh-agent cannot be read: which files it opens is not known", "unreadable"),
        ("bwrap called pivot_root: files may have other names behind it", "mounts"),
        ("/srv/a b: what the program behind this socket did was not seen", "sockets"),
        ("chrome installed a filter of its own: a call that it refuses is noted as if it had been made", "filters"),
        ("something else", "other"),
    ],
)
def test_gaps_of_one_kind_are_known_by_a_word(gap: str, kind: str) -> None:
    assert escapes.kind(gap) == kind
