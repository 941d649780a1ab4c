/* signal/record and signal/lead. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "signal/lead.h"
#include "signal/record.h"
#include "signal/unit.h"

static void test_lead_names(void **state)
{
    (void)state;
    for (int i = 0; i < LEAD_STANDARD_COUNT; i++)
        assert_int_equal(lead_from_name(lead_name((enum ecg_lead)i)), i);
    assert_string_equal(lead_name(LEAD_UNKNOWN), "?");
    assert_string_equal(lead_name(LEAD_STANDARD_COUNT), "?");
    static const struct {
        const char *name;
        enum ecg_lead lead;
    } cases[] = {
        {"i", LEAD_I},
        {"AVR", LEAD_AVR},
        {"avl", LEAD_AVL},
        {"v6", LEAD_V6},
        {"MLII", LEAD_II},
        {"Lead I", LEAD_I},
        {"ECG lead II", LEAD_II},
        {"ECG V1", LEAD_V1},
        {"EKG_aVF", LEAD_AVF},
        {" V5 ", LEAD_V5},
        {"lead-iii", LEAD_III},
        {"DII", LEAD_II},
        {"II,", LEAD_II},
        {"V5:", LEAD_V5},
        {"", LEAD_UNKNOWN},
        {"ECG", LEAD_UNKNOWN},
        {"ECG ", LEAD_UNKNOWN},
        {"V", LEAD_UNKNOWN},
        {"V7", LEAD_UNKNOWN},
        {"V1R", LEAD_UNKNOWN},
        {"-aVR", LEAD_UNKNOWN},
        {"V1-", LEAD_UNKNOWN},
        {"IIII", LEAD_UNKNOWN},
        {"MCL1", LEAD_UNKNOWN},
        {"ABP", LEAD_UNKNOWN},
        {"ECG 1", LEAD_UNKNOWN},
        {"V1-V2", LEAD_UNKNOWN},
        {"I II", LEAD_UNKNOWN},
        {"a very long name that is not a lead at all I", LEAD_UNKNOWN},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (lead_from_name(cases[i].name) != cases[i].lead)
            fail_msg("'%s' is read as %s", cases[i].name, lead_name(lead_from_name(cases[i].name)));
}

static void test_record_life(void **state)
{
    (void)state;
    struct ecg_record r;
    memset(&r, 0, sizeof r);
    ecg_record_free(&r); /* a zeroed struct */
    ecg_record_init(&r);
    assert_true(isnan(r.age_years));
    assert_int_equal(r.sex, SEX_UNKNOWN);
    ecg_record_issue(&r, RECORD_SHORT, "%d of %d samples", 5, 10);
    ecg_record_issue(&r, 0, "a second one");
    assert_int_equal(r.flags, RECORD_SHORT);
    assert_int_equal(r.issue_count, 2);
    assert_string_equal(r.issues[0], "5 of 10 samples");
    for (int i = 0; i < 100; i++)
        ecg_record_issue(&r, RECORD_GAPS, "issue %d", i);
    assert_int_equal(r.issue_count, RECORD_ISSUES_MAX);
    assert_string_equal(r.issues[RECORD_ISSUES_MAX - 1], "further issues are not listed");
    assert_true(r.flags & RECORD_GAPS);
    ecg_record_free(&r);
    assert_int_equal(r.issue_count, 0);
    ecg_record_free(&r);
}

static void test_record_comment(void **state)
{
    (void)state;
    const char *comments[] = {" Age: 54", "Dx:426783006,270492004", "a line", "Rx :  Unknown",
                              "dx: 1"};
    struct ecg_record r;
    ecg_record_init(&r);
    r.comments = comments;
    r.comment_count = 5;
    assert_string_equal(ecg_record_comment(&r, "age"), "54");
    assert_string_equal(ecg_record_comment(&r, "Dx"), "426783006,270492004");
    assert_string_equal(ecg_record_comment(&r, "Rx"), "Unknown");
    assert_null(ecg_record_comment(&r, "Hx"));
    assert_null(ecg_record_comment(&r, "a line"));
    ecg_record_free(&r);
}

/* Whatever way is taken, the bits are those of the formula in double. */
static void test_adc_conversion(void **state)
{
    (void)state;
    static const struct adc_scale scales[] = {
        {1000, 0, 1},    {200, 0, 1},       {-200, 1024, 1},    {4.88, -3, 1},     {1000.5, 7, 1},
        {3, -32768, 1},  {1e-6, 0, 1},      {1e-7, 0, 1},       {999999937, 1, 1}, {1000, 0.5, 1},
        {1000, 0, 1e-3}, {327.68, 12, 1e3}, {1000, 1 << 24, 1}, {7, 1 << 23, 1},   {2e9, 0, 1},
    };
    enum { COUNT = 3 * 1024 + 17 };
    static int32_t digital[COUNT];
    static float physical[COUNT];
    for (size_t k = 0; k < sizeof scales / sizeof *scales; k++)
        for (int bits = 8; bits <= 32; bits += 4) {
            const struct adc_scale *s = &scales[k];
            uint32_t random = 12345;
            int64_t invalid = 0;
            for (int i = 0; i < COUNT; i++) {
                random = random * 1664525u + 1013904223u;
                digital[i] = (int32_t)random >> (32 - bits);
                if (random % 97 == 0 || digital[i] == ADC_INVALID) {
                    digital[i] = ADC_INVALID;
                    invalid++;
                }
            }
            digital[5] = digital[5] == ADC_INVALID ? ADC_INVALID : (int32_t)s->baseline;
            memcpy(physical, digital, sizeof physical);
            assert_int_equal(adc_convert(s, physical, COUNT), invalid);
            for (int i = 0; i < COUNT; i++) {
                float expected = (float)(((double)digital[i] - s->baseline) / s->gain * s->factor);
                if (digital[i] == ADC_INVALID)
                    assert_true(isnan(physical[i]));
                else if (memcmp(&expected, &physical[i], sizeof expected) != 0)
                    fail_msg("(%d - %g) / %g * %g: expected %.9g, found %.9g", (int)digital[i],
                             s->baseline, s->gain, s->factor, (double)expected,
                             (double)physical[i]);
            }
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_adc_conversion),
        cmocka_unit_test(test_lead_names),
        cmocka_unit_test(test_record_life),
        cmocka_unit_test(test_record_comment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
