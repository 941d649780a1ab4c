/* Real data sets of ../shared: every record of PTB-XL, MIT-BIH, CinC 2021 and CPSC 2021 read
 * strictly (lengths, checksums and first values agree); CinC 2017 with its absent checksums. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "format/format.h"

#define DATA "../shared/data/"

struct tally {
    int64_t records, stale;
};

static void walk(const char *folder, unsigned flags, unsigned tolerated, struct tally *tally)
{
    struct arena a;
    arena_init(&a, "test", 0);
    char **names;
    int64_t count;
    struct err e = {0};
    assert_int_equal(dir_list(folder, &a, &names, &count, &e), ERR_OK);
    for (int64_t i = 0; i < count; i++) {
        char *path = path_join(&a, folder, names[i]);
        if (dir_exists(path))
            walk(path, flags, tolerated, tally);
        if (!record_path_is_candidate(path))
            continue;
        struct ecg_record r;
        if (record_read(path, &(struct read_options){.strict = true}, &r, &e) != ERR_OK)
            fail_msg("%s", e.message);
        if ((r.flags & ~tolerated) != flags)
            fail_msg("%s: flags %x, expected %x", path, r.flags, flags);
        tally->records++;
        tally->stale += (r.flags & RECORD_INITIAL_MISMATCH) != 0;
        for (int64_t l = 0; l < r.lead_count; l++)
            assert_true(r.channels[l].is_voltage);
        ecg_record_free(&r);
    }
    arena_reset(&a);
}

static void check_folder(const char *folder, int64_t records)
{
    if (!dir_exists(folder))
        skip();
    struct tally tally = {0};
    walk(folder, 0, 0, &tally);
    assert_int_equal(tally.records, records);
}

static void test_ptbxl(void **state)
{
    (void)state;
    check_folder(DATA "ptbxl", 1547);
}

static void test_mitdb(void **state)
{
    (void)state;
    check_folder(DATA "mitdb", 6);
}

static void test_cinc2021(void **state)
{
    (void)state;
    check_folder(DATA "cinc2021", 53);
}

static void test_cpsc2021(void **state)
{
    (void)state;
    check_folder(DATA "cpsc2021", 18);
}

static void test_cinc2017(void **state)
{
    (void)state;
    if (!dir_exists(DATA "cinc2017"))
        skip();
    struct tally tally = {0};
    walk(DATA "cinc2017", RECORD_CHECKSUM_ABSENT, RECORD_INITIAL_MISMATCH, &tally);
    assert_int_equal(tally.records, 450);
    print_message("cinc2017: %d of 450 with a stale first value\n", (int)tally.stale);
    assert_true(tally.stale > 0 && tally.stale < 100);
}

/* The first record of PTB-XL, to the last digit of its header; and its person in CinC's form. */
static void test_values(void **state)
{
    (void)state;
    struct ecg_record r;
    struct err e = {0};
    if (file_exists(DATA "cinc2021/HR06006.hea")) {
        assert_int_equal(record_read(DATA "cinc2021/HR06006", NULL, &r, &e), ERR_OK);
        assert_int_equal(r.lead_count, 12);
        assert_int_equal(r.sample_count, 5000);
        for (int l = 0; l < 12; l++)
            assert_int_equal(r.channels[l].lead, l);
        assert_true(r.samples[0] == 0.25f && r.samples[2 * 5000] == -0.42f);
        assert_true(r.age_years == 54);
        assert_int_equal(r.sex, SEX_FEMALE);
        assert_string_equal(ecg_record_comment(&r, "Dx"), "426783006");
        ecg_record_free(&r);
    } else {
        skip();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ptbxl),    cmocka_unit_test(test_mitdb),
        cmocka_unit_test(test_cinc2021), cmocka_unit_test(test_cpsc2021),
        cmocka_unit_test(test_cinc2017), cmocka_unit_test(test_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
