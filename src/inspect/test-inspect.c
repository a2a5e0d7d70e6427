/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "crypto/crypto.h"
#include "inspect/memory.h"
#include "inspect/program.h"
#include "inspect/serve.h"
#include "util/sanitizer.h"

/* ---- programs ---- */

/* A dynamic program of 64 bits, in the order in which a linker writes it. */
typedef struct Image {
        Elf64_Ehdr head;
        Elf64_Phdr segments[4];
        Elf64_Dyn dynamic[6];
        char strings[64];
        char interpreter[32];
        Elf64_Nhdr note;
        char note_name[4];
        uint8_t build_id[20];
} Image;

#define ADDRESS 0x400000u

static Image image_make(void) {
        Image i = {
                .head = { .e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT }, .e_type = ET_DYN, .e_phoff = offsetof(Image, segments),
                          .e_phentsize = sizeof(Elf64_Phdr), .e_phnum = 4 },
                .segments = { { .p_type = PT_LOAD, .p_vaddr = ADDRESS, .p_filesz = sizeof(Image) },
                              { .p_type = PT_DYNAMIC, .p_offset = offsetof(Image, dynamic), .p_filesz = sizeof(i.dynamic) },
                              { .p_type = PT_INTERP, .p_offset = offsetof(Image, interpreter), .p_filesz = 28 },
                              { .p_type = PT_NOTE, .p_offset = offsetof(Image, note), .p_filesz = sizeof(i.note) + sizeof(i.note_name) + sizeof(i.build_id) } },
                .dynamic = { { DT_NEEDED, { 1 } }, { DT_NEEDED, { 11 } }, { DT_RUNPATH, { 24 } }, { DT_STRTAB, { ADDRESS + offsetof(Image, strings) } }, { DT_STRSZ, { 64 } },
                             { DT_NULL, { 0 } } },
                .strings = "\0libc.so.6\0libssl.so.3\0\0/opt/lib",
                .interpreter = "/lib64/ld-linux-x86-64.so.2",
                .note = { .n_namesz = 4, .n_descsz = 20, .n_type = NT_GNU_BUILD_ID },
                .note_name = "GNU",
        };

        memset(i.build_id, 0xab, sizeof(i.build_id));
        return i;
}

static int read_memory(const void *data, size_t size, ProgramInfo *ret) {
        Memory memory = { data, size };
        const ByteSource source = { memory_read, &memory };

        return program_read(&source, ret);
}

static void an_elf_program_says_what_it_needs(void **state) {
        Image i = image_make();
        ProgramInfo p;

        assert_int_equal(read_memory(&i, sizeof(i), &p), 0);
        assert_int_equal(p.kind, PROGRAM_ELF);
        assert_int_equal(p.n_needed, 2);
        assert_string_equal(p.needed[0], "libc.so.6");
        assert_string_equal(p.needed[1], "libssl.so.3");
        assert_string_equal(p.run_path, "/opt/lib");
        assert_string_equal(p.interpreter, "/lib64/ld-linux-x86-64.so.2");
        assert_string_equal(p.soname, "");
        assert_int_equal(p.build_id_len, 20);
        assert_int_equal(p.build_id[19], 0xab);
}

#define BREAK(what, change) { what, ({ Image i = image_make(); change; i; }) }

static void an_elf_program_with_a_broken_field_is_refused_and_nothing_is_told(void **state) {
        const struct {
                const char *what;
                Image image;
        } cases[] = {
                BREAK("segments beyond the end", i.head.e_phoff = sizeof(Image)),
                BREAK("segments at the end of numbers", i.head.e_phoff = UINT64_MAX - 8),
                BREAK("too many segments", i.head.e_phnum = 129),
                BREAK("segments of another size", i.head.e_phentsize = 8),
                BREAK("a segment that wraps around", (i.segments[1].p_offset = UINT64_MAX, i.segments[1].p_filesz = 2)),
                BREAK("a dynamic section without an end", i.segments[1].p_filesz -= sizeof(Elf64_Dyn)),
                BREAK("a dynamic section beyond the end", i.segments[1].p_offset = sizeof(Image)),
                BREAK("strings that no segment maps", i.dynamic[3].d_un.d_ptr = 16),
                BREAK("strings of no size", i.dynamic[4].d_un.d_val = 0),
                BREAK("no strings", i.dynamic[3].d_tag = DT_DEBUG),
                BREAK("a name beyond the strings", i.dynamic[0].d_un.d_val = 64),
                BREAK("a name that does not end", (memset(i.strings + 32, 'x', 32), i.dynamic[0].d_un.d_val = 40)),
                BREAK("a name with a newline", i.strings[2] = '\n'),
                BREAK("a name that is no UTF-8", i.strings[2] = (char) 0xff),
                BREAK("an interpreter without a NUL", i.segments[2].p_filesz = 27),
                BREAK("an interpreter that is too long", i.segments[2].p_filesz = 257),
                BREAK("an interpreter of no size", i.segments[2].p_filesz = 0),
                BREAK("a note beyond the end", i.segments[3].p_offset = sizeof(Image) - 4),
        };

        for (size_t k = 0; k < ELEMENTSOF(cases); k++) {
                ProgramInfo p = { .n_needed = 77 };

                if (read_memory(&cases[k].image, sizeof(Image), &p) != -EBADMSG || p.n_needed != 77)
                        fail_msg("%s", cases[k].what);
        }
}

static void an_elf_program_cut_anywhere_is_refused_or_read(void **state) {
        Image i = image_make();
        ProgramInfo p;

        for (size_t n = EI_NIDENT; n < sizeof(i); n++) {
                int r = read_memory(&i, n, &p);

                assert_true(r == 0 || r == -EBADMSG);
                if (n < offsetof(Image, interpreter))
                        assert_int_equal(r, -EBADMSG);
        }
}

static void this_very_program_needs_the_c_library(void **state) {
        _cleanup_free_ char *data = malloc(64u << 20);
        FILE *f = fopen("/proc/self/exe", "re");
        bool found = false;
        ProgramInfo p;
        size_t n;

        assert_non_null(data);
        assert_non_null(f);
        n = fread(data, 1, 64u << 20, f);
        fclose(f);
        assert_int_equal(read_memory(data, n, &p), 0);
        assert_int_equal(p.kind, PROGRAM_ELF);
        for (uint32_t i = 0; i < p.n_needed; i++)
                found = found || startswith(p.needed[i], "libc.so");
        assert_true(found);
}

static void a_script_is_read_as_the_kernel_reads_it(void **state) {
        static const struct {
                const char *text;
                int result;
                const char *interpreter, *argument;
        } cases[] = {
                { "#!/bin/sh\necho", 0, "/bin/sh", "" },
                { "#!/bin/sh", 0, "/bin/sh", "" },
                { "#! \t /usr/bin/env  python3 -u \t\n", 0, "/usr/bin/env", "python3 -u" },
                { "#!/bin/sh -e x\n", 0, "/bin/sh", "-e x" },
                { "#!\n", -EBADMSG, NULL, NULL },
                { "#!", -EBADMSG, NULL, NULL },
                { "#!/bin/\xff\n", -EBADMSG, NULL, NULL },
                { "#!/bin/sh\r\n", -EBADMSG, NULL, NULL },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                ProgramInfo p = { .kind = 99 };
                int r = read_memory(cases[i].text, strlen(cases[i].text), &p);

                assert_int_equal(r, cases[i].result);
                if (r < 0) {
                        assert_int_equal(p.kind, 99);
                        continue;
                }
                assert_int_equal(p.kind, PROGRAM_SCRIPT);
                assert_string_equal(p.interpreter, cases[i].interpreter);
                assert_string_equal(p.argument, cases[i].argument);
        }
}

static void a_first_line_that_the_kernel_would_cut_is_refused(void **state) {
        char text[600];
        ProgramInfo p;

        memset(text, 'x', sizeof(text));
        memcpy(text, "#!/", 3);
        assert_int_equal(read_memory(text, sizeof(text), &p), -EBADMSG);
        text[2 + PROGRAM_PATH_MAX - 1] = '\n';
        assert_int_equal(read_memory(text, sizeof(text), &p), 0);
}

static void any_other_file_is_other(void **state) {
        static const char *const texts[] = { "", "#", "\x7f" "ELF", "hello", "\x7f" "ELF\2\2\1         ", "\x7f" "ELF\7\1\1         " };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                ProgramInfo p;

                assert_int_equal(read_memory(texts[i], strlen(texts[i]), &p), 0);
                assert_int_equal(p.kind, PROGRAM_OTHER);
        }
}

/* ---- the worker ---- */

typedef struct Worker {
        int fd;
        pid_t pid;
} Worker;

/* Not _exit(): ahead of a function that does not return a sanitizer asks for the signal stack, which is not on the list. */
static void leave(int status) {
        (void) syscall(SYS_exit_group, status);
}

static Worker worker_start(void) {
        int fds[2];
        Worker w;

        if (BUILT_WITH_SANITIZER)
                skip();
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
        w.pid = fork();
        assert_true(w.pid >= 0);
        if (w.pid == 0) {
                close(fds[0]);
                if (inspect_sandbox_enter() < 0)
                        _exit(100);
                leave(inspect_serve(fds[1]) < 0 ? 1 : 0);
        }
        close(fds[1]);
        w.fd = fds[0];
        return w;
}

static int worker_end(Worker *w) {
        int status;

        close(w->fd);
        assert_int_equal(waitpid(w->pid, &status, 0), w->pid);
        return status;
}

static void ask_name(const Worker *w, uint32_t type, uint32_t serial, const char *name, int fd) {
        InspectRequest h = { .header = { type, serial } };
        struct iovec iov = { &h, sizeof(h) };
        union { struct cmsghdr head; uint8_t space[CMSG_SPACE(sizeof(int))]; } control = {};
        struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };

        strcpy(h.name, name);
        if (fd >= 0) {
                mh.msg_control = &control;
                mh.msg_controllen = sizeof(control);
                control.head = (struct cmsghdr) { .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int)) };
                memcpy(CMSG_DATA(&control.head), &fd, sizeof(int));
        }
        assert_int_equal(sendmsg(w->fd, &mh, MSG_NOSIGNAL), sizeof(h));
}

static void ask(const Worker *w, uint32_t type, uint32_t serial, int fd) {
        ask_name(w, type, serial, "", fd);
}

/* The next message; data is kept, a reply is checked. */
static uint32_t expect(const Worker *w, uint32_t serial, int result, InspectProgramInfo *data) {
        InspectProgramInfo m;
        ssize_t n = recv(w->fd, &m, sizeof(m), 0);
        InspectReply reply;

        assert_true(n >= (ssize_t) sizeof(InspectHeader));
        assert_int_equal(m.header.serial, serial);
        if (m.header.type != INSPECT_REPLY) {
                assert_int_equal(n, m.header.type == INSPECT_HASHED ? sizeof(InspectHashed) : sizeof(InspectProgramInfo));
                memcpy(data, &m, (size_t) n);
                return m.header.type;
        }
        memcpy(&reply, &m, sizeof(reply));
        assert_int_equal(reply.result, result);
        return INSPECT_REPLY;
}

static int file_make(const char *text, size_t size) {
        char path[] = "/tmp/trireme-test-XXXXXX";
        int fd = mkstemp(path);

        assert_true(fd >= 0);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(pwrite(fd, text, strlen(text), 0), strlen(text));
        assert_int_equal(ftruncate(fd, (off_t) size), 0);
        return fd;
}

static void a_file_is_hashed_whole(void **state) {
        static const char text[] = "#!/bin/sh\nexit 0\n";
        uint8_t wanted[CRYPTO_HASH_SIZE];
        InspectProgramInfo data;
        Worker w = worker_start();
        int fd = file_make(text, strlen(text));

        assert_int_equal(crypto_sha256(text, strlen(text), wanted), 0);
        ask(&w, INSPECT_HASH, 7, fd);
        assert_int_equal(expect(&w, 7, 0, &data), INSPECT_HASHED);
        assert_memory_equal(((InspectHashed *) &data)->sha256, wanted, sizeof(wanted));
        assert_int_equal(expect(&w, 7, 0, &data), INSPECT_REPLY);
        ask(&w, INSPECT_PROGRAM, 8, fd);
        assert_int_equal(expect(&w, 8, 0, &data), INSPECT_PROGRAM_INFO);
        assert_string_equal(data.program.interpreter, "/bin/sh");
        assert_int_equal(expect(&w, 8, 0, &data), INSPECT_REPLY);
        close(fd);
        assert_int_equal(worker_end(&w), 0);
}

static void a_short_file_does_not_wait_for_a_long_one(void **state) {
        InspectProgramInfo data;
        Worker w = worker_start();
        int large = file_make("x", 512u << 20), small = file_make("y", 1);

        ask(&w, INSPECT_HASH, 1, large);
        ask(&w, INSPECT_HASH, 2, small);
        assert_int_equal(expect(&w, 2, 0, &data), INSPECT_HASHED);
        assert_int_equal(expect(&w, 2, 0, &data), INSPECT_REPLY);
        assert_int_equal(expect(&w, 1, 0, &data), INSPECT_HASHED);
        assert_int_equal(expect(&w, 1, 0, &data), INSPECT_REPLY);
        close(large);
        close(small);
        assert_int_equal(worker_end(&w), 0);
}

static void a_file_that_changes_meanwhile_has_no_hash(void **state) {
        InspectProgramInfo data;
        Worker w = worker_start();
        int fd = file_make("x", 512u << 20);

        ask(&w, INSPECT_HASH, 1, fd);
        usleep(20000);
        assert_int_equal(pwrite(fd, "z", 1, 0), 1);
        assert_int_equal(expect(&w, 1, -EAGAIN, &data), INSPECT_REPLY);
        close(fd);
        assert_int_equal(worker_end(&w), 0);
}

static void what_is_no_file_to_be_read_is_refused(void **state) {
        static const struct {
                const char *path;
                uint32_t type;
                int result;
        } cases[] = {
                { "/dev/null", INSPECT_HASH, -EBADF }, { "/tmp", INSPECT_HASH, -EBADF }, { "/tmp", INSPECT_PROGRAM, -EISDIR },
                { "/dev/null", INSPECT_REPLY, -EOPNOTSUPP }, { "/dev/null", 77, -EOPNOTSUPP },
        };
        InspectProgramInfo data;
        Worker w = worker_start();
        int fd;

        for (uint32_t i = 0; i < ELEMENTSOF(cases); i++) {
                fd = open(cases[i].path, O_RDONLY | O_CLOEXEC);
                ask(&w, cases[i].type, i + 1, fd);
                assert_int_equal(expect(&w, i + 1, cases[i].result, &data), INSPECT_REPLY);
                close(fd);
        }
        fd = file_make("x", (size_t) INSPECT_FILE_MAX + 1);
        ask(&w, INSPECT_HASH, 99, fd);
        assert_int_equal(expect(&w, 99, -EFBIG, &data), INSPECT_REPLY);
        close(fd);
        assert_int_equal(worker_end(&w), 0);
}

static void more_requests_than_there_is_room_for_are_all_answered(void **state) {
        InspectProgramInfo data;
        Worker w = worker_start();
        int fd = file_make("x", 8u << 20);

        for (uint32_t i = 1; i <= 3 * INSPECT_JOBS_MAX; i++)
                ask(&w, INSPECT_HASH, i, fd);
        for (uint32_t i = 0; i < 2 * 3 * INSPECT_JOBS_MAX; i++) {
                ssize_t n = recv(w.fd, &data, sizeof(data), 0);

                assert_true(n == sizeof(InspectHashed) || n == sizeof(InspectReply));
        }
        close(fd);
        assert_int_equal(worker_end(&w), 0);
}

static void the_loaders_own_cache_knows_the_c_library(void **state) {
        int fd = open("/etc/ld.so.cache", O_RDONLY | O_CLOEXEC);
        InspectLibraryPath found;
        InspectProgramInfo none;
        Worker w;

        if (fd < 0)
                skip(); /* another loader than glibc's */
        w = worker_start();
        ask_name(&w, INSPECT_LIBRARY, 7, "libc.so.6", fd);
        assert_int_equal(recv(w.fd, &found, sizeof(found), 0), sizeof(found));
        assert_int_equal(found.header.type, INSPECT_LIBRARY_PATH);
        assert_int_equal(access(found.path, R_OK), 0);
        assert_string_equal(strrchr(found.path, '/'), "/libc.so.6");
        assert_int_equal(expect(&w, 7, 0, &none), INSPECT_REPLY);
        ask_name(&w, INSPECT_LIBRARY, 8, "libnone.so.6", fd);
        assert_int_equal(expect(&w, 8, -ENOENT, &none), INSPECT_REPLY);
        close(fd);
        assert_int_equal(worker_end(&w), 0);
}

static void a_request_without_a_file_ends_the_worker(void **state) {
        Worker w = worker_start();
        char c;

        ask(&w, INSPECT_HASH, 1, -1);
        assert_int_equal(recv(w.fd, &c, 1, 0), 0);
        assert_int_equal(WEXITSTATUS(worker_end(&w)), 1);
}

static void the_sandbox_leaves_no_way_out(void **state) {
        for (int i = 0; i < 4; i++) {
                int status;
                pid_t pid = fork();

                assert_true(pid >= 0);
                if (pid == 0) {
                        if (inspect_sandbox_enter() < 0)
                                _exit(100);
                        switch (i) {
                        case 0: (void) open("/etc/passwd", O_RDONLY); break;
                        case 1: (void) socket(AF_UNIX, SOCK_STREAM, 0); break;
                        case 2: (void) fork(); break;
                        default: (void) execl("/bin/true", "true", NULL);
                        }
                        leave(0);
                }
                assert_int_equal(waitpid(pid, &status, 0), pid);
                assert_true(WIFSIGNALED(status));
                assert_int_equal(WTERMSIG(status), SIGSYS);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(an_elf_program_says_what_it_needs),
                cmocka_unit_test(an_elf_program_with_a_broken_field_is_refused_and_nothing_is_told),
                cmocka_unit_test(an_elf_program_cut_anywhere_is_refused_or_read),
                cmocka_unit_test(this_very_program_needs_the_c_library),
                cmocka_unit_test(a_script_is_read_as_the_kernel_reads_it),
                cmocka_unit_test(a_first_line_that_the_kernel_would_cut_is_refused),
                cmocka_unit_test(any_other_file_is_other),
                cmocka_unit_test(a_file_is_hashed_whole),
                cmocka_unit_test(a_short_file_does_not_wait_for_a_long_one),
                cmocka_unit_test(a_file_that_changes_meanwhile_has_no_hash),
                cmocka_unit_test(what_is_no_file_to_be_read_is_refused),
                cmocka_unit_test(more_requests_than_there_is_room_for_are_all_answered),
                cmocka_unit_test(the_loaders_own_cache_knows_the_c_library),
                cmocka_unit_test(a_request_without_a_file_ends_the_worker),
                cmocka_unit_test(the_sandbox_leaves_no_way_out),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
