/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "inspect/program.h"

#include <elf.h>
#include <errno.h>
#include <stdbool.h>

#include "util/utf8.h"

#define SEGMENTS_MAX 128u  /* real files have a dozen */
#define DYNAMIC_MAX 4096u
#define NOTES_MAX 64u

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define OWN_BYTE_ORDER ELFDATA2LSB
#else
#define OWN_BYTE_ORDER ELFDATA2MSB
#endif

#if defined(__x86_64__)
#define OWN_MACHINE EM_X86_64
#elif defined(__i386__)
#define OWN_MACHINE EM_386
#elif defined(__aarch64__)
#define OWN_MACHINE EM_AARCH64
#elif defined(__arm__)
#define OWN_MACHINE EM_ARM
#elif defined(__powerpc64__)
#define OWN_MACHINE EM_PPC64
#elif defined(__s390x__)
#define OWN_MACHINE EM_S390
#elif defined(__riscv)
#define OWN_MACHINE EM_RISCV
#else
#define OWN_MACHINE EM_NONE /* then every program is of another kind, and its libraries stay unknown */
#endif

typedef struct Segment {
        uint32_t type;
        uint64_t offset, address, size; /* in the file */
} Segment;

typedef struct ElfFile {
        const ByteSource *source;
        bool wide; /* 64 bits */
        bool own;  /* of this machine's kind */
        Segment segments[SEGMENTS_MAX];
        size_t n_segments;
} ElfFile;

/* The dynamic section, as far as it matters; names are offsets into the string table. */
typedef struct Dynamic {
        uint64_t strings, strings_size; /* offset in the file */
        uint64_t needed[PROGRAM_NEEDED_MAX], soname, run_path, r_path;
        uint32_t n_needed;
        bool has_strings, has_soname, has_run_path, has_r_path;
} Dynamic;

static int read_exact(const ByteSource *s, uint64_t offset, void *buf, size_t n) {
        ssize_t k = s->read(s->userdata, offset, buf, n);

        return k < 0 ? (int) k : (size_t) k == n ? 0 : -EBADMSG;
}

/* ---- the table of segments ---- */

static int segment_read(const ElfFile *e, uint64_t offset, Segment *ret) {
        union { Elf64_Phdr wide; Elf32_Phdr narrow; } p;
        int r = read_exact(e->source, offset, &p, e->wide ? sizeof(p.wide) : sizeof(p.narrow));

        if (r < 0)
                return r;
        *ret = e->wide ? (Segment) { p.wide.p_type, p.wide.p_offset, p.wide.p_vaddr, p.wide.p_filesz }
                       : (Segment) { p.narrow.p_type, p.narrow.p_offset, p.narrow.p_vaddr, p.narrow.p_filesz };
        return ret->offset + ret->size < ret->offset ? -EBADMSG : 0;
}

static int segments_read(ElfFile *e) {
        union { Elf64_Ehdr wide; Elf32_Ehdr narrow; } h;
        const size_t entry_size = e->wide ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);
        uint64_t offset;
        size_t n;
        int r = read_exact(e->source, 0, &h, e->wide ? sizeof(h.wide) : sizeof(h.narrow));

        if (r < 0)
                return r;
        e->own = e->wide == (sizeof(void *) == 8) && (e->wide ? h.wide.e_machine : h.narrow.e_machine) == OWN_MACHINE;
        offset = e->wide ? h.wide.e_phoff : h.narrow.e_phoff;
        n = e->wide ? h.wide.e_phnum : h.narrow.e_phnum;
        if (n > SEGMENTS_MAX || (n > 0 && (e->wide ? h.wide.e_phentsize : h.narrow.e_phentsize) != entry_size) || offset > INT64_MAX)
                return -EBADMSG;
        for (; e->n_segments < n; e->n_segments++) {
                r = segment_read(e, offset + e->n_segments * entry_size, &e->segments[e->n_segments]);
                if (r < 0)
                        return r;
        }
        return 0;
}

static const Segment *segment_find(const ElfFile *e, uint32_t type) {
        for (size_t i = 0; i < e->n_segments; i++)
                if (e->segments[i].type == type)
                        return &e->segments[i];
        return NULL;
}

/* Where in the file that is which the loader maps to an address. */
static int offset_of_address(const ElfFile *e, uint64_t address, uint64_t *ret) {
        for (size_t i = 0; i < e->n_segments; i++) {
                const Segment *s = &e->segments[i];

                if (s->type != PT_LOAD || address < s->address || address - s->address >= s->size)
                        continue;
                *ret = s->offset + (address - s->address);
                return 0;
        }
        return -EBADMSG;
}

/* ---- text ---- */

static int text_take(const char *s, size_t n, char *ret, size_t size) {
        size_t len = strnlen(s, n);

        if (len == n || len >= size || !utf8_is_printable(s, len))
                return -EBADMSG;
        memcpy(ret, s, len);
        ret[len] = '\0';
        return 0;
}

static int string_read(const ElfFile *e, const Dynamic *d, uint64_t index, char *ret, size_t size) {
        char buf[PROGRAM_PATH_MAX];
        ssize_t k;

        if (!d->has_strings || index >= d->strings_size || d->strings + index < d->strings)
                return -EBADMSG;
        k = e->source->read(e->source->userdata, d->strings + index, buf, MIN(sizeof(buf), d->strings_size - index));
        return k < 0 ? (int) k : text_take(buf, (size_t) k, ret, size);
}

/* ---- the dynamic section ---- */

static int dynamic_take(const ElfFile *e, Dynamic *d, int64_t tag, uint64_t value) {
        switch (tag) {
        case DT_NEEDED:
                if (d->n_needed >= PROGRAM_NEEDED_MAX)
                        return -EBADMSG;
                d->needed[d->n_needed++] = value;
                return 0;
        case DT_STRTAB:
                d->has_strings = true;
                return offset_of_address(e, value, &d->strings);
        case DT_STRSZ:
                d->strings_size = value;
                return 0;
        case DT_SONAME:
                d->has_soname = true;
                d->soname = value;
                return 0;
        case DT_RUNPATH:
                d->has_run_path = true;
                d->run_path = value;
                return 0;
        case DT_RPATH:
                d->has_r_path = true;
                d->r_path = value;
                return 0;
        default:
                return 0;
        }
}

static int dynamic_read(const ElfFile *e, const Segment *s, Dynamic *d) {
        const size_t entry_size = e->wide ? sizeof(Elf64_Dyn) : sizeof(Elf32_Dyn);

        for (uint64_t i = 0; i < DYNAMIC_MAX && (i + 1) * entry_size <= s->size; i++) {
                union { Elf64_Dyn wide; Elf32_Dyn narrow; } entry;
                int64_t tag;
                int r = read_exact(e->source, s->offset + i * entry_size, &entry, entry_size);

                if (r < 0)
                        return r;
                tag = e->wide ? entry.wide.d_tag : entry.narrow.d_tag;
                if (tag == DT_NULL)
                        return 0;
                r = dynamic_take(e, d, tag, e->wide ? entry.wide.d_un.d_val : entry.narrow.d_un.d_val);
                if (r < 0)
                        return r;
        }
        return -EBADMSG; /* without an end the loader would run on, too */
}

static int names_read(const ElfFile *e, const Dynamic *d, ProgramInfo *ret) {
        int r = 0;

        for (uint32_t i = 0; r >= 0 && i < d->n_needed; i++)
                r = string_read(e, d, d->needed[i], ret->needed[i], sizeof(ret->needed[i]));
        if (r >= 0 && d->has_soname)
                r = string_read(e, d, d->soname, ret->soname, sizeof(ret->soname));
        if (r >= 0 && (d->has_run_path || d->has_r_path)) /* ld.so(8): DT_RPATH counts only where DT_RUNPATH is not */
                r = string_read(e, d, d->has_run_path ? d->run_path : d->r_path, ret->run_path, sizeof(ret->run_path));
        ret->n_needed = d->n_needed;
        ret->flags |= d->has_run_path ? PROGRAM_RUN_PATH : d->has_r_path ? PROGRAM_R_PATH : 0;
        return r;
}

/* ---- the build id ---- */

static int notes_read(const ElfFile *e, const Segment *s, ProgramInfo *ret) {
        uint64_t at = 0;

        for (unsigned i = 0; i < NOTES_MAX && s->size - at >= sizeof(Elf64_Nhdr); i++) {
                Elf64_Nhdr note; /* the same in both classes */
                uint64_t name_size, size;
                char name[4];
                int r = read_exact(e->source, s->offset + at, &note, sizeof(note));

                if (r < 0)
                        return r;
                at += sizeof(note);
                name_size = ((uint64_t) note.n_namesz + 3) & ~3ull;
                size = name_size + (((uint64_t) note.n_descsz + 3) & ~3ull);
                if (size > s->size - at)
                        return 0; /* notes may be padded otherwise; not every one is for us to understand */
                if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == sizeof(name) && note.n_descsz <= sizeof(ret->build_id)) {
                        r = read_exact(e->source, s->offset + at, name, sizeof(name));
                        if (r >= 0 && memcmp(name, "GNU", sizeof(name)) == 0) {
                                ret->build_id_len = note.n_descsz;
                                return read_exact(e->source, s->offset + at + name_size, ret->build_id, note.n_descsz);
                        }
                        if (r < 0)
                                return r;
                }
                at += size;
        }
        return 0;
}

static int interpreter_read(const ElfFile *e, const Segment *s, ProgramInfo *ret) {
        char buf[PROGRAM_PATH_MAX];
        int r;

        if (s->size > sizeof(buf))
                return -EBADMSG;
        r = read_exact(e->source, s->offset, buf, s->size);
        return r < 0 ? r : text_take(buf, s->size, ret->interpreter, sizeof(ret->interpreter));
}

static int elf_read(ElfFile *e, ProgramInfo *ret) {
        const Segment *dynamic, *interpreter;
        Dynamic d = {};
        int r = segments_read(e);

        if (r < 0)
                return r;
        ret->flags = e->own ? 0 : PROGRAM_FOREIGN;
        dynamic = segment_find(e, PT_DYNAMIC);
        if (dynamic) {
                r = dynamic_read(e, dynamic, &d);
                if (r >= 0)
                        r = names_read(e, &d, ret);
        }
        interpreter = segment_find(e, PT_INTERP);
        if (r >= 0 && interpreter)
                r = interpreter_read(e, interpreter, ret);
        for (size_t i = 0; r >= 0 && i < e->n_segments && ret->build_id_len == 0; i++)
                if (e->segments[i].type == PT_NOTE)
                        r = notes_read(e, &e->segments[i], ret);
        return r;
}

/* ---- scripts ---- */

/* As the kernel reads it (fs/binfmt_script.c): blanks around both words go, and all behind the interpreter is one argument. */
static int script_read(const char *line, size_t n, ProgramInfo *ret) {
        static const char blanks[] = " \t";
        char buf[PROGRAM_PATH_MAX];
        const char *newline = memchr(line, '\n', n);
        char *end, *word;
        size_t len = newline ? (size_t) (newline - line) : n;

        if (len >= sizeof(buf))
                return -EBADMSG; /* cut off: whose interpreter it is cannot be told */
        memcpy(buf, line, len);
        buf[len] = '\0';
        if (strlen(buf) != len)
                return -EBADMSG;
        for (end = buf + len; end > buf && strchr(blanks, end[-1]); end--)
                ;
        *end = '\0';
        word = buf + strspn(buf, blanks);
        len = strcspn(word, blanks);
        if (len == 0)
                return -EBADMSG;
        end = word + len + strspn(word + len, blanks);
        word[len] = '\0';
        if (!utf8_is_printable(word, len) || !utf8_is_printable(end, strlen(end)))
                return -EBADMSG;
        strcpy(ret->interpreter, word);
        strcpy(ret->argument, end);
        return 0;
}

int program_read(const ByteSource *source, ProgramInfo *ret) {
        _cleanup_free_ ProgramInfo *info = calloc(1, sizeof(*info));
        ElfFile elf = { .source = source };
        unsigned char head[2 + PROGRAM_PATH_MAX] = {};
        ssize_t n;
        int r = 0;

        if (!info)
                return -ENOMEM;
        n = source->read(source->userdata, 0, head, sizeof(head));
        if (n < 0)
                return (int) n;
        if (n >= EI_NIDENT && memcmp(head, ELFMAG, SELFMAG) == 0) {
                if (head[EI_DATA] == OWN_BYTE_ORDER && (head[EI_CLASS] == ELFCLASS64 || head[EI_CLASS] == ELFCLASS32)) {
                        info->kind = PROGRAM_ELF;
                        elf.wide = head[EI_CLASS] == ELFCLASS64;
                        r = elf_read(&elf, info);
                }
        } else if (n >= 2 && memcmp(head, "#!", 2) == 0) {
                info->kind = PROGRAM_SCRIPT;
                r = script_read((char *) head + 2, (size_t) n - 2, info);
        }
        if (r < 0)
                return r;
        *ret = *info;
        return 0;
}
