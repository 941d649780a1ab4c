/* base/file: paths, bounded reads, atomic writes, folders. Works in a fresh folder under TMPDIR. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "folder.h"

static int tear_down_tree(void **state)
{
    rmdir(in_folder("a/b/c"));
    rmdir(in_folder("a/b"));
    rmdir(in_folder("a"));
    return tear_down(state);
}

static void write_then_read(void **state)
{
    (void)state;
    struct err e = {0};
    char *path = in_folder("x.bin");
    assert_int_equal(file_write_atomic(path, "first", 5, &e), ERR_OK);
    assert_int_equal(file_write_atomic(path, "a\0b", 3, &e), ERR_OK);
    assert_int_equal(file_size(path), 3);
    assert_true(file_exists(path));
    assert_false(dir_exists(path));
    struct buf b;
    assert_int_equal(file_read(path, 3, &b, &e), ERR_OK);
    assert_int_equal(b.len, 3);
    assert_memory_equal(b.data, "a\0b", 4);
    buf_free(&b);
    assert_int_equal(file_read(path, 2, &b, &e), ERR_LIMIT);
    assert_non_null(strstr(e.message, path));
    buf_free(&b);
    assert_int_equal(file_read(in_folder("none"), 10, &b, &e), ERR_NOT_FOUND);
    assert_int_equal(file_read(folder, 10, &b, &e), ERR_IO);
    assert_int_equal(file_size(in_folder("none")), -1);
    assert_int_equal(file_size(folder), -1);

    struct file_map map;
    assert_int_equal(file_map(path, &map, &e), ERR_OK);
    assert_int_equal(map.size, 3);
    assert_memory_equal(map.data, "a\0b", 3);
    file_map_forget(&map);
    assert_memory_equal(map.data, "a\0b", 3);
    file_unmap(&map);
    file_map_forget(&map);
    file_unmap(&map);
    assert_int_equal(file_write_atomic(in_folder("empty"), NULL, 0, &e), ERR_OK);
    assert_int_equal(file_map(in_folder("empty"), &map, &e), ERR_OK);
    assert_int_equal(map.size, 0);
    assert_int_equal(file_read(in_folder("empty"), 1, &b, &e), ERR_OK);
    assert_string_equal(b.data, "");
    buf_free(&b);
    assert_int_equal(file_map(in_folder("none"), &map, &e), ERR_NOT_FOUND);
}

static void fifo_is_refused(void **state)
{
    (void)state;
    struct err e = {0};
    char *path = in_folder("fifo");
    assert_int_equal(mkfifo(path, 0600), 0);
    struct buf b;
    assert_int_equal(file_read(path, 10, &b, &e), ERR_IO); /* and does not block */
    struct file_map map;
    assert_int_equal(file_map(path, &map, &e), ERR_IO);
    assert_int_equal(file_read("/dev/zero", 10, &b, &e), ERR_IO);
}

static int64_t entries(void)
{
    char **names;
    int64_t count;
    assert_int_equal(dir_list(folder, &arena, &names, &count, NULL), ERR_OK);
    return count;
}

static void writer_commits_or_leaves_no_trace(void **state)
{
    (void)state;
    struct err e = {0};
    struct file_writer w;
    char *path = in_folder("w.txt");
    int64_t before = entries();
    assert_int_equal(file_writer_open(&w, path, &e), ERR_OK);
    file_writer_printf(&w, "%d\n", 12);
    file_writer_write(&w, "x", 1);
    assert_false(file_exists(path));
    assert_int_equal(file_writer_commit(&w, &e), ERR_OK);
    assert_int_equal(file_size(path), 4);
    assert_int_equal(entries(), before + 1);

    assert_int_equal(file_writer_open(&w, path, &e), ERR_OK);
    file_writer_printf(&w, "never");
    file_writer_abandon(&w);
    file_writer_abandon(&w);
    assert_int_equal(file_size(path), 4);
    assert_int_equal(entries(), before + 1);

    assert_int_equal(file_writer_open(&w, in_folder("no/such/x"), &e), ERR_NOT_FOUND);
    assert_int_equal(file_writer_open(&w, folder, &e), ERR_IO);
    assert_int_equal(file_writer_open(&w, "", &e), ERR_IO);

    /* A write that fails is reported by commit and leaves the old state. */
    int full = open("/dev/full", O_WRONLY);
    if (full >= 0) {
        close(full);
        assert_int_equal(file_write_atomic("/dev/full", "x", 1, &e), ERR_IO);
        struct stat st;
        assert_int_equal(stat("/dev/full", &st), 0);
        assert_true(S_ISCHR(st.st_mode)); /* written straight, not replaced */
    }
}

/* A disk that fills up while writing, played by a bound on the size of files. */
static void writer_keeps_the_old_file_when_the_disk_is_full(void **state)
{
    (void)state;
    struct err e = {0};
    char *path = in_folder("old.bin"), block[4096] = {1};
    assert_int_equal(file_write_atomic(path, "old", 3, &e), ERR_OK);
    int64_t before = entries();
    struct rlimit keep, small;
    getrlimit(RLIMIT_FSIZE, &keep);
    small = keep;
    small.rlim_cur = 10000;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    struct file_writer w;
    enum err_code code = file_writer_open(&w, path, &e);
    for (int i = 0; code == ERR_OK && i < 10; i++)
        file_writer_write(&w, block, sizeof block);
    if (code == ERR_OK)
        code = file_writer_commit(&w, &e);
    setrlimit(RLIMIT_FSIZE, &keep);
    signal(SIGXFSZ, handler);
    assert_int_equal(code, ERR_IO);
    assert_non_null(strstr(e.message, path));
    assert_int_equal(file_size(path), 3);
    assert_int_equal(entries(), before);
}

static void writer_follows_links_and_keeps_modes(void **state)
{
    (void)state;
    struct err e = {0};
    char *path = in_folder("target"), *link = in_folder("link");
    assert_int_equal(file_write_atomic(path, "1", 1, &e), ERR_OK);
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(symlink("target", link), 0);
    assert_int_equal(file_write_atomic(link, "22", 2, &e), ERR_OK);
    struct stat st;
    assert_int_equal(lstat(link, &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_int_equal(file_size(path), 2);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
}

static void folders(void **state)
{
    (void)state;
    struct err e = {0};
    char *deep = in_folder("a/b//c/");
    assert_int_equal(dir_create(deep, &e), ERR_OK);
    assert_int_equal(dir_create(deep, &e), ERR_OK);
    assert_true(dir_exists(in_folder("a/b/c")));
    assert_int_equal(dir_create("", &e), ERR_IO);
    assert_int_equal(dir_create("/", &e), ERR_OK);
    assert_int_equal(file_write_atomic(in_folder("file"), "x", 1, &e), ERR_OK);
    assert_int_not_equal(dir_create(in_folder("file/sub"), &e), ERR_OK);
    assert_int_not_equal(dir_create(in_folder("file"), &e), ERR_OK);
    assert_int_equal(file_write_atomic(in_folder("B"), "x", 1, &e), ERR_OK);
    char **names;
    int64_t count;
    assert_int_equal(dir_list(folder, &arena, &names, &count, &e), ERR_OK);
    assert_true(count >= 3);
    assert_null(names[count]);
    for (int64_t i = 1; i < count; i++)
        assert_true(strcmp(names[i - 1], names[i]) < 0);
    assert_int_equal(dir_list(in_folder("none"), &arena, &names, &count, &e), ERR_NOT_FOUND);
    assert_int_equal(count, 0);
}

static void temporaries_of_the_dead_are_removed(void **state)
{
    (void)state;
    struct err e = {0};
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    char *dead = path_join(&arena, folder, arena_printf(&arena, "m.bin.tmp.%ld", (long)child));
    char *kept[] = {path_join(&arena, folder,
                              arena_printf(&arena, "m.bin.tmp.%ld", (long)getpid())),
                    path_join(&arena, folder, arena_printf(&arena, "m.bin.tmq.%ld", (long)child)),
                    in_folder("m.bin.tmp.x"), in_folder("m.bin.tmp.0"), in_folder("m.bin.tmp.-1")};
    assert_int_equal(file_write_atomic(dead, "x", 1, &e), ERR_OK);
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        assert_int_equal(file_write_atomic(kept[i], "x", 1, &e), ERR_OK);
    dir_remove_temporaries(folder);
    dir_remove_temporaries(in_folder("none"));
    assert_false(file_exists(dead));
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        assert_true(file_exists(kept[i]));
}

static void paths(void **state)
{
    (void)state;
    assert_string_equal(path_join(&arena, "a", "b"), "a/b");
    assert_string_equal(path_join(&arena, "a/", "b"), "a/b");
    assert_string_equal(path_join(&arena, "a", "/b"), "/b");
    assert_string_equal(path_join(&arena, "", "b"), "b");
    assert_string_equal(path_folder(&arena, "a/b.hea"), "a");
    assert_string_equal(path_folder(&arena, "/b"), "/");
    assert_string_equal(path_folder(&arena, "b"), ".");
    assert_string_equal(path_folder(&arena, "a//b"), "a");
    assert_string_equal(path_name("a/b.hea"), "b.hea");
    assert_string_equal(path_extension("a.x/b.hea"), "hea");
    assert_string_equal(path_extension("a.x/b"), "");
    assert_string_equal(path_extension("a/.hidden"), "");
    assert_string_equal(path_stem(&arena, "a.x/b.hea"), "a.x/b");
    assert_string_equal(path_stem(&arena, "a.x/b"), "a.x/b");
    const char *inside[] = {"a", "a/b", "a..b", "...", "a/.b", "./a"};
    for (size_t i = 0; i < sizeof inside / sizeof *inside; i++)
        assert_true(path_is_contained(inside[i]));
    const char *outside[] = {"", "/a", "..", "../a", "a/..", "a/../b", "a\nb", "a\x7f"};
    for (size_t i = 0; i < sizeof outside / sizeof *outside; i++)
        assert_false(path_is_contained(outside[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(write_then_read),
        cmocka_unit_test(fifo_is_refused),
        cmocka_unit_test(writer_commits_or_leaves_no_trace),
        cmocka_unit_test(writer_keeps_the_old_file_when_the_disk_is_full),
        cmocka_unit_test(writer_follows_links_and_keeps_modes),
        cmocka_unit_test(folders),
        cmocka_unit_test(temporaries_of_the_dead_are_removed),
        cmocka_unit_test(paths),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down_tree);
}
