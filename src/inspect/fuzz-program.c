/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "inspect/memory.h"
#include "inspect/program.h"
#include "util/fuzz.h"
#include "util/utf8.h"

static void check_text(const char *s, size_t size) {
        size_t n = strnlen(s, size);

        CHECK(n < size && utf8_is_printable(s, n));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        Memory memory = { data, size };
        const ByteSource source = { memory_read, &memory };
        static ProgramInfo info;

        if (program_read(&source, &info) < 0)
                return 0;
        CHECK(info.kind <= PROGRAM_SCRIPT && info.n_needed <= PROGRAM_NEEDED_MAX && info.build_id_len <= PROGRAM_BUILD_ID_MAX);
        CHECK(info.kind != PROGRAM_SCRIPT || info.interpreter[0]);
        check_text(info.interpreter, sizeof(info.interpreter));
        check_text(info.argument, sizeof(info.argument));
        check_text(info.soname, sizeof(info.soname));
        check_text(info.run_path, sizeof(info.run_path));
        for (uint32_t i = 0; i < info.n_needed; i++)
                check_text(info.needed[i], sizeof(info.needed[i]));
        return 0;
}
