"""Programs of all kinds, for a machine with little more than sh, perl, python3, git, gcc and make."""

from __future__ import annotations

import signal
from collections.abc import Mapping

from tests.cases.both_ways import PYTHON, Program, bash, c, perl, python, sh, without_addresses

TABLE = "a,b\n" + "".join(f"{number},{number * number}\n" for number in range(200))

TOOLS: Mapping[str, Program] = {
    "the tools for files": sh(
        """
        cp -a in.csv a; mv a b; ln b c; ln -s b d; mkdir -p e/f; rmdir e/f; touch -d 2001-02-03 b; chmod 640 c
        truncate -s 3000 g; dd if=in.csv of=g bs=100 seek=2 count=3 conv=notrunc status=none
        tee h i < in.csv > /dev/null; sort -t, -k2nr -o h h; split -l 50 in.csv part; install -m 711 in.csv j
        mkfifo k; rm i; mv -n h j; cp -r e l; stat -c '%n %s %a %h %F' *; ls -1A
        """,
        files={"in.csv": TABLE},
        says=b"fifo",
        writes=("partaa", "j", "d"),
    ),
    "tools that fail": sh(
        """
        cat nowhere; rm nowhere; mkdir in.csv; rmdir full; cd nowhere; cp nowhere a; ln in.csv in.csv; ls -d nowhere
        > full; mv in.csv nowhere/x; touch nowhere/x; grep -c nothing in.csv; exit 42
        """,
        files={"in.csv": TABLE, "full/a": ""},
        code=42,
    ),
    "find and xargs at once": sh(
        """
        find . -name '*.txt' -print0 | xargs -0 -P 4 -n 2 sh -c 'for one; do wc -c < "$one" > "$one.n"; done' sh
        find . -name '*.n' -exec cat {} + | sort -n | uniq -c; find . -name '*.txt' -size +9c -delete; find . | sort
        """,
        files={f"d{number % 5}/{number}.txt": "x" * number for number in range(40)},
        writes=("d0/5.txt.n",),
        says=b"d4/9.txt.n",
    ),
    "make with several jobs": sh(
        "make -s -j3 && ./prog && make -j3 && make -q; echo $?; make wrong; echo $?",
        files={
            "Makefile": "prog: a.o b.o c.o\n\tgcc -o $@ $^\n%.o: %.c part.h\n\tgcc -c -o $@ $<\nwrong:\n\texit 3\n",
            "part.h": "int b(void); int c(void);\n",
            "a.c": '#include "part.h"\n#include <stdio.h>\nint main(void) { printf("%d\\n", b() + c()); return 0; }\n',
            "b.c": '#include "part.h"\nint b(void) { return 40; }\n',
            "c.c": '#include "part.h"\nint c(void) { return 2; }\n',
        },
        says=b"42\n",
        writes=("prog", "a.o"),
    ),
    "a compiler that complains": sh(
        "gcc -Wall -c -o a.o a.c; gcc -o b b.c; echo $?; gcc -E a.c | tail -1; gcc -MM a.c; gcc -save-temps -c a.c; ls",
        files={"a.c": "int f(void) { int unused; }\n", "b.c": "int main(void) { return nowhere; }\n"},
        says=b"1\n",
        writes=("a.o", "a.i"),
    ),
    "an archive": sh(
        """
        tar --sort=name --mtime=@1 --owner=0 --group=0 --numeric-owner -cf - in | gzip -n > all.tgz; tar tvzf all.tgz
        tar xzf all.tgz --one-top-level=there; gzip -dc all.tgz | cksum; gzip -t in/a; echo $?; gunzip -k all.tgz
        """,
        files={"in/a": TABLE, "in/b/c": b"\0\xff" * 5000},
        says=b"in/b/c",
        writes=("there/in/b/c",),
    ),
    "sed in place, awk and grep": sh(
        """
        sed -i.bak 's/,/;/' in.csv; sed -i -e '1d;w kept' in.csv
        awk -F';' '{ s += $2; print $1 > ("f" NR % 3) } END { print s }' in.csv
        grep -rn 196 . | sort; grep -q nothing in.csv; echo $?; tr a-z A-Z < in.csv.bak | head -1
        """,
        files={"in.csv": TABLE},
        says=b"2646700",
        writes=("in.csv.bak", "f2", "kept"),
    ),
    "pipes that break": bash(
        """
        yes | head -1; echo ${PIPESTATUS[@]}; seq 100000 | head -c 10 | wc -c
        (trap '' PIPE; yes 2>/dev/null; echo $? >&2) | :
        """,
        says=b"141 0",
    ),
    "git in a repository of its own": sh(
        """
        export GIT_AUTHOR_DATE='1000000000 +0000' GIT_COMMITTER_DATE='1000000000 +0000'
        git init -q -b main .; git add .; git commit -qm one; echo more >> a; git commit -qam two; git status --short
        git checkout -q -b other; echo x > x; git add x; git stash -q; git stash list; git diff main~1 --stat
        git log --oneline; git gc -q; git fsck; git show HEAD:a; git clone -q . w/clone; cat w/clone/a
        """,
        files={"a": "one\n", "b/c": TABLE},
        says=b"two",
        writes=(".git/HEAD", "w/clone/a"),
        apart=("*.git/index", "*.rev", "*.idx", "*.pack"),
    ),
    "scripts that name their interpreter": sh(
        "./first a 'b c'; ./second x y; echo $?; ./plain x; ./nowhere; echo $?; ./first.txt; echo $?; env -i ./first",
        files={
            "first": '#!/bin/sh -e\necho $0 $# "$2"\nfalse\necho no\n',
            "second": "#!./first\n",
            "plain": '#!/usr/bin/env -S sh -c \'echo "$0" "$@"\'\n',
            "nowhere": "#!/does/not/exist\n",
            "first.txt": "echo text\n",
        },
        code=1,
        says=b"./first 2 b c",
    ),
}

SHELLS: Mapping[str, Program] = {
    "job control in a script": bash(
        """
        exec 2> /dev/null; set -m; sleep 30 & kill -STOP $!; until jobs -s | grep -q sleep; do sleep 0.01; done; jobs; bg
        kill %1; wait %1; echo $?; trap 'echo told' USR1; kill -USR1 $$; trap 'echo leaving' EXIT
        (sleep 0.1; exit 3) & wait -n; echo $?; exit 9
        """,
        code=9,
        says=b"143\ntold\n3\n",
    ),
    "a shell's own ways": bash(
        r"""
        cat <(echo one) - <<< two; coproc { tr a-z A-Z; }; echo three >&${COPROC[1]}; eval "exec ${COPROC[1]}>&-"
        cat <&${COPROC[0]}; while read -r -n 3 a; do echo $a; done < in; mapfile lines < in; echo ${#lines[@]}
        echo x > >(cat > out); wait $!; exec {fd}> other; echo y >&$fd; echo $fd; (exit 3); echo $?
        set -o pipefail; false | true; echo $?; shopt -s globstar; echo **; printf '%q\n' $'a\nb'
        """,
        files={"in": "abc\ndef\nghi\n", "x/y/z": ""},
        says=b"THREE",
        writes=("out", "other"),
    ),
    "streams that it closes itself": sh(
        """
        exec 3>&1 >&-; echo lost; exec >&3 3>&- 2>&-; echo lost >&2; exec < /dev/null; read a; echo $?
        exec >&- 2>&-; exit 4
        """,
        code=4,
        says=b"1\n",
    ),
    "modes and the umask": sh(
        "umask 0; touch a; mkdir b; umask 077; touch c; mkdir d; (umask 0333; touch e); umask; cp -p a f; install -m 4755 a g",
        says=b"0077",
        writes=("a", "c", "g"),
    ),
    "niceness and processors": sh(
        "nice -n 7 nice; nice; nice -n 3 sh -c 'nice -n 3 nice'; nproc; taskset -c 0 nproc; ionice",
        says=b"7\n0\n6\n",
    ),
    "folders that go away": sh(
        """
        mkdir a; cd a; rmdir ../a; ls; touch x; pwd; cat ../in.csv | head -1; cd ..
        mkdir b; cd b; mv ../b ../c; echo x > y; ls ../c; cat y
        """,
        files={"in.csv": TABLE},
        says=b"y\nx\n",
        writes=("c/y",),
    ),
    "its own group killed": Program(
        ("setsid", "-w", "sh", "-c", "trap 'echo told; exit 3' TERM; kill -TERM 0; sleep 5"), code=3, says=b"told"
    ),
    "named pipes and locks": sh(
        """
        mkfifo p; (seq 5 > p) & sort -r p; wait; exec 9> lock; flock 9; flock -n lock -c 'echo both' || echo held
        flock -u 9; flock -n lock -c 'echo free'
        """,
        says=b"held\nfree\n",
    ),
    "limits that a shell sets": sh(
        """
        ulimit -a; (ulimit -f 1; dd if=/dev/zero of=large bs=4096 count=1 2> /dev/null; echo $?)
        (ulimit -n 5; cat program 4< program 3< program; echo $?); ulimit -t 5; ulimit -t
        """,
        files={"program": "x\n"},
        says=b"5\n",
        writes=("large",),
    ),
    "perl": perl(
        r"""
        use strict; use Socket; $| = 1; pipe(my $r, my $w); socketpair(my $a, my $b, AF_UNIX, SOCK_STREAM, PF_UNSPEC);
        if (my $pid = fork) { close $w; close $b; print <$r>, <$a>; waitpid $pid, 0; print $? >> 8, "\n" }
        else { close $r; close $a; print $w "one\n"; print $b "two\n"; exit 7 }
        { local $^I = ".old"; local @ARGV = ("in.csv"); while (<>) { s/,/\t/; print } }
        print `wc -l < in.csv`, -s "in.csv", " ", join(",", sort glob "in*"), "\n"; system 'kill -9 $$'; print $? & 127, "\n";
        $SIG{ALRM} = sub { die "late\n" }; eval { alarm 1; select undef, undef, undef, 9 }; print $@; $! = 6; die "the end\n"
        """,
        files={"in.csv": TABLE},
        code=6,
        says=b"one\ntwo\n7\n",
        writes=("in.csv.old",),
    ),
}

PYTHONS: Mapping[str, Program] = {
    "threads": python(
        """
        import os, threading
        def work(i):
            for j in range(20):
                open(f"f{i}", "a").write(f"{j}\\n"); os.rename(f"f{i}", f"g{i}"); os.rename(f"g{i}", f"f{i}")
        all = [threading.Thread(target=work, args=(i,)) for i in range(16)]
        [one.start() for one in all]; [one.join() for one in all]; print(sorted(os.listdir()))
        """,
        says=b"f15",
        writes=("f0", "f15"),
    ),
    **{
        f"processes by {way}": python(
            f"""
            import multiprocessing, sys
            def square(i):
                open(f"part{{i}}", "w").write(str(i * i)); return i * i
            if __name__ == "__main__":
                multiprocessing.set_start_method("{way}")
                with multiprocessing.Pool(2) as pool: print(pool.map(square, range(6)))
                queue = multiprocessing.Queue(); lock = multiprocessing.Lock(); value = multiprocessing.Value("i", 7)
                with lock: queue.put(value.value)
                print(queue.get()); sys.exit(5)
            """,
            code=5,
            says=b"[0, 1, 4, 9, 16, 25]",
            writes=("part5",),
        )
        for way in ("fork", "spawn", "forkserver")
    },
    "asyncio": python(
        """
        import asyncio
        async def one(i):
            p = await asyncio.create_subprocess_exec("sh", "-c", f"read a; echo $a-{i}; echo e{i} >&2; exit {i}",
                stdin=-1, stdout=-1, stderr=-1)
            return *await p.communicate(b"in\\n"), p.returncode
        async def main():
            print(await asyncio.gather(*[one(i) for i in range(5)]))
            p = await asyncio.create_subprocess_exec("sleep", "30"); p.terminate(); print(await p.wait())
            try: await asyncio.wait_for(asyncio.sleep(9), 0.05)
            except TimeoutError: print("late")
            server = await asyncio.start_unix_server(lambda r, w: (w.write(b"hello"), w.close()), "socket")
            r, w = await asyncio.open_unix_connection("socket"); print(await r.read())
        asyncio.run(main())
        """,
        says=b"(b'in-4\\n', b'e4\\n', 4)",
    ),
    "signals": python(
        """
        import os, signal, subprocess
        seen = []
        numbers = (signal.SIGUSR1, signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGCONT, signal.SIGTSTP, signal.SIGRTMIN)
        for number in (signal.SIGALRM, *numbers): signal.signal(number, lambda number, frame: seen.append(int(number)))
        for number in numbers: os.kill(os.getpid(), number)
        signal.setitimer(signal.ITIMER_REAL, 0.02); signal.pause(); print(seen)
        child = subprocess.Popen(["sleep", "30"])
        child.send_signal(signal.SIGSTOP); print(os.waitpid(child.pid, os.WUNTRACED)[1])
        child.send_signal(signal.SIGCONT); print(os.waitpid(child.pid, os.WCONTINUED)[1]); child.kill(); print(child.wait())
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1}); os.kill(os.getpid(), signal.SIGUSR1)
        print(signal.sigpending(), signal.sigtimedwait({signal.SIGUSR1}, 1).si_pid == os.getpid(), flush=True)
        signal.signal(signal.SIGTERM, signal.SIG_DFL); signal.raise_signal(signal.SIGTERM)
        """,
        code=128 + signal.SIGTERM,
        says=b"[10, 15, 1, 2, 18, 20, 34, 14]",
    ),
    "a crash with a report": python(
        "import faulthandler, os\nfaulthandler.enable()\nprint('before', flush=True)\nos.kill(os.getpid(), 11)\n",
        code=128 + signal.SIGSEGV,
        says=b"before",
        normal=without_addresses,
    ),
    "an uncaught exception": python("import json\ndef f(): return json.loads('{')\nf()\n", code=1),
    **{
        f"sys.exit({said})": python(f"import sys\nopen('out', 'w').write('x')\nsys.exit({said})\n", code=code, writes=("out",))
        for said, code in (("255", 255), ("256", 0), ("-1", 255), ("'why'", 1))
    },
    "much through pipes": python(
        """
        import hashlib, subprocess, sys, threading
        block = bytes(range(256)) * 4096
        p = subprocess.Popen(["sh", "-c", "cat | cat"], stdin=-1, stdout=-1)
        threading.Thread(target=lambda: ([p.stdin.write(block) for _ in range(8)], p.stdin.close())).start()
        print(hashlib.sha1(p.stdout.read()).hexdigest(), p.wait(), flush=True)
        for _ in range(4): sys.stdout.buffer.write(block); sys.stderr.buffer.write(block)
        sys.stdout.buffer.write(sys.stdin.buffer.read())
        """,
        given=b"\0\1\2\n\r\xff" * 100_000,
        says=b"\0\1\2\n\r\xff",
    ),
    "descriptors closed by the range": python(
        """
        import os
        os.closerange(3, 4096); print(sorted(os.listdir("/proc/self/fd")), os.path.exists("program.py"), flush=True)
        os.close(0); print(os.open("program.py", 0), flush=True); os.system("ls /proc/self/fd | wc -l; cat program.py")
        """,
        says=b"True\n0\n",
    ),
    "limits of its own": python(
        """
        import resource
        resource.setrlimit(resource.RLIMIT_NOFILE, (8, 8))
        try: print(len([open("program.py") for _ in range(20)]))
        except OSError as error: print(error)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        for size in (999, 100, 1):
            try: print(open("large", "ab", 0).write(b"x" * size))
            except OSError as error: print(error)
        """,
        says=b"Too many open files",
        writes=("large",),
    ),
    "a session of its own": python(
        """
        import os
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                open("far", "w").write(f"{os.getsid(0) == os.getppid()} {os.getpgrp() != os.getpid()}"); os._exit(0)
            os.wait(); os._exit(3)
        print(os.wait()[1]); os.setpgid(0, os.getpid()); print(os.getpgrp() == os.getpid())
        """,
        says=b"768\nTrue",
        writes=("far",),
    ),
    "messages with descriptors": python(
        """
        import os, socket
        a, b = socket.socketpair()
        if os.fork() == 0:
            f = os.open("sent", os.O_RDWR | os.O_CREAT, 0o600); socket.send_fds(a, [b"x"], [f]); os._exit(0)
        text, fds, *_ = socket.recv_fds(b, 9, 1); os.write(fds[0], b"by another"); os.wait()
        print(text, len(fds), os.pread(fds[0], 99, 0), oct(os.fstat(fds[0]).st_mode))
        """,
        says=b"by another",
        writes=("sent",),
    ),
    "shared memory": python(
        """
        import mmap, os
        from multiprocessing import shared_memory
        f = open("m", "w+b"); f.truncate(8192); m = mmap.mmap(f.fileno(), 0); s = shared_memory.SharedMemory(create=True, size=9)
        if os.fork() == 0: m[5:8] = b"abc"; s.buf[0] = 42; os._exit(0)
        os.wait(); print(open("m", "rb").read()[:9], s.buf[0]); s.close(); s.unlink()
        """,
        says=b"abc\\x00' 42",
        writes=("m",),
    ),
    "a folder watched for changes": python(
        """
        import ctypes, os, struct, time
        libc = ctypes.CDLL(None); queue = libc.inotify_init1(os.O_NONBLOCK); libc.inotify_add_watch(queue, b".", 0x3CE)
        open("a", "w").write("x"); os.rename("a", "b"); open("b", "a").write("y"); os.chmod("b", 0o600); os.unlink("b")
        time.sleep(0.2); data = os.read(queue, 65536)
        while data:
            _, mask, _, size = struct.unpack_from("iIII", data)
            print(hex(mask), data[16:16 + size].rstrip(b"\\0")); data = data[16 + size:]
        """,
        says=b"0x40 b'a'",
    ),
    "names of every kind": python(
        """
        import os
        for name in (b"a\\nb", b"\\xff\\xfe", b"-rf", b" ", b"\\xc3\\xbc", b"x" * 255, b"*", b'a"b', b"\\x01"):
            open(name, "wb").write(name)
        for _ in range(30): os.mkdir("d" * 200); os.chdir("d" * 200)
        open("deep", "w").write("deep"); print(os.popen("cat deep").read())
        """,
        says=b"deep",
    ),
    "what happens at its end": python(
        """
        import atexit, os, sys, tempfile
        class A:
            def __del__(self): print("gone")
        a = A(); atexit.register(print, "at the end"); t = tempfile.TemporaryDirectory(dir=".")
        open(t.name + "/x", "w").close(); os.environ["X"] = "y"
        print(os.popen("echo $X").read(), os.cpu_count(), os.getcwd(), sys.flags, sys.argv, os.sched_getaffinity(0))
        print(os.get_inheritable(1), sys.stdin.encoding, sys.stdout.encoding, sys.getfilesystemencoding(), sys.path)
        """,
        says=b"at the end\ngone\n",
    ),
}

COMPILED: Mapping[str, Program] = {
    "a storm of timers": c(
        r"""
        #include <fcntl.h>
        #include <signal.h>
        #include <stdio.h>
        #include <sys/time.h>
        #include <unistd.h>
        static volatile int came;
        static void on(int number) { (void)number; came++; }
        int main(void) {
            struct sigaction action = {.sa_handler = on, .sa_flags = SA_RESTART};
            struct itimerval often = {{0, 700}, {0, 700}};
            int failed = 0;
            sigaction(SIGALRM, &action, 0);
            setitimer(ITIMER_REAL, &often, 0);
            for (int i = 0; i < 3000; i++) {
                int file = open("program.c", O_RDONLY);
                if (file < 0) failed++; else close(file);
            }
            while (came < 20) pause();
            printf("%d failed\n", failed);
        }
        """,
        says=b"0 failed\n",
    ),
    "a segmentation fault": c(
        '#include <stdio.h>\nint main(void) { puts("lost"); return *(volatile int *)8; }\n', code=128 + signal.SIGSEGV
    ),
    "an abort": c(
        '#include <assert.h>\n#include <stdio.h>\nint main(void) { puts("shown"); fflush(0); assert(1 == 2); }\n',
        code=128 + signal.SIGABRT,
        says=b"shown\n",
    ),
    "a static program": c(
        '#include <stdio.h>\nint main(int n, char **w) { fputs("x", fopen("out", "w")); printf("%d %s\\n", n, *w); return 6; }\n',
        build="-static",
        code=6,
        says=b"1 ./program",
        writes=("out",),
    ),
    "threads that execute": c(
        r"""
        #include <pthread.h>
        #include <spawn.h>
        #include <stdio.h>
        #include <sys/wait.h>
        #include <unistd.h>
        extern char **environ;
        static void *other(void *nothing) {
            execlp("sh", "sh", "-c", "echo executed by a thread; cat out", (char *)0);
            return nothing;
        }
        int main(void) {
            pid_t child; int status; pthread_t thread; char *words[] = {"sh", "-c", "echo spawned > out; exit 3", 0};
            posix_spawnp(&child, "sh", 0, 0, words, environ);
            waitpid(child, &status, 0); printf("%d\n", WEXITSTATUS(status)); fflush(stdout);
            if (!vfork()) { execlp("nowhere", "nowhere", (char *)0); _exit(5); }
            wait(&status); printf("%d\n", WEXITSTATUS(status)); fflush(stdout);
            pthread_create(&thread, 0, other, 0); pthread_join(thread, 0);
        }
        """,
        build="-pthread",
        says=b"3\n5\nexecuted by a thread\nspawned\n",
        writes=("out",),
    ),
}

EVERYDAY = {**TOOLS, **SHELLS, **PYTHONS, **COMPILED}

__all__ = ["EVERYDAY", "PYTHON", "TABLE"]
