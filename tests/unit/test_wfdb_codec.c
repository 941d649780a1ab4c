/* format/wfdb_codec and format/wfdb_signal: every storage format decodes what a small encoder
 * wrote, at every length and from every place, alone and interleaved; damage is seen. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sndfile.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/rng.h"
#include "format/wfdb.h"
#include "format/wfdb_codec.h"
#include "signal/unit.h"

static char folder[64];

static int setup(void **state)
{
    (void)state;
    /* thousands of small files: in memory where the system offers it */
    snprintf(folder, sizeof folder, "%s/ecgfm-codec-XXXXXX",
             dir_exists("/dev/shm") ? "/dev/shm" : "/tmp");
    return mkdtemp(folder) == NULL;
}

static int teardown(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, "test", 0);
    char **names;
    int64_t count;
    if (dir_list(folder, &a, &names, &count, NULL) == ERR_OK)
        for (int64_t i = 0; i < count; i++)
            unlink(path_join(&a, folder, names[i]));
    arena_reset(&a);
    return rmdir(folder);
}

static const char *file_in(const char *name)
{
    static char path[2][128];
    static int turn;
    turn = !turn;
    snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
    return path[turn];
}

static void write_file(const char *name, const void *data, size_t size)
{
    FILE *f = fopen(file_in(name), "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, size, f), size);
    assert_int_equal(fclose(f), 0);
}

/* The encoders: written from the description in signal(5), bit by bit, unlike the decoders. */
static void put_bits(unsigned char *out, int64_t at, uint32_t value, int bits)
{
    for (int i = 0; i < bits; i++, at++)
        if (value >> i & 1)
            out[at / 8] |= (unsigned char)(1u << at % 8);
}

static size_t encode(int number, const int32_t *in, int64_t count, unsigned char *out)
{
    memset(out, 0, (size_t)count * 4 + 8);
    for (int64_t i = 0; i < count; i++) {
        uint32_t v = (uint32_t)in[i];
        switch (number) {
        case 8:
            put_bits(out, 8 * i, v - (i > 0 ? (uint32_t)in[i - 1] : 0), 8);
            break;
        case 80:
            put_bits(out, 8 * i, v + 128, 8);
            break;
        case 16:
            put_bits(out, 16 * i, v, 16);
            break;
        case 61:
            put_bits(out, 16 * i, v >> 8, 8);
            put_bits(out, 16 * i + 8, v, 8);
            break;
        case 160:
            put_bits(out, 16 * i, v + 32768, 16);
            break;
        case 24:
            put_bits(out, 24 * i, v, 24);
            break;
        case 32:
            put_bits(out, 32 * i, v, 32);
            break;
        case 212:
            put_bits(out, i / 2 * 24 + (i % 2 == 0 ? 0 : 16), v, 8);
            put_bits(out, i / 2 * 24 + (i % 2 == 0 ? 8 : 12), v >> 8, 4);
            break;
        case 310:
            if (i % 3 < 2) {
                put_bits(out, i / 3 * 32 + i % 3 * 16 + 1, v, 10);
            } else {
                put_bits(out, i / 3 * 32 + 11, v, 5);
                put_bits(out, i / 3 * 32 + 27, v >> 5, 5);
            }
            break;
        case 311:
            put_bits(out, i / 3 * 32 + i % 3 * 10, v, 10);
            break;
        default:
            fail_msg("no encoder for %d", number);
        }
    }
    switch (number) {
    case 8:
    case 80:
        return (size_t)count;
    case 16:
    case 61:
    case 160:
        return (size_t)count * 2;
    case 24:
        return (size_t)count * 3;
    case 32:
        return (size_t)count * 4;
    case 212:
        return (size_t)((count * 12 + 7) / 8);
    case 310:
        return (size_t)(count / 3 * 4 + count % 3 * 2);
    default:
        return (size_t)(count / 3 * 4 + (count % 3 * 10 + 7) / 8);
    }
}

/* Values over the whole range, ends and neighbours of zero first; differences for format 8 fit. */
static int32_t value_at(const struct wfdb_codec *c, uint64_t i)
{
    struct rng r = rng_at(3, RNG_STREAM_TEST, (uint64_t)c->number, i);
    const int32_t special[] = {c->max, c->min, 0, -1, 1, c->min + 1};
    if (c->is_difference) /* neighbours differ by at most 60 */
        return (int32_t)(30 * sin((double)i)) + (int32_t)(i / 100);
    return i < 6 ? special[i]
                 : (int32_t)(c->min + (int64_t)(rng_u32(&r) %
                                                (uint64_t)(1 + (int64_t)c->max - (int64_t)c->min)));
}

/* decode() of every codec, every count, and the two size functions. */
static void test_decode(void **state)
{
    (void)state;
    int rows = 0;
    for (const struct wfdb_codec *c = wfdb_codecs; c->number >= 0; c++) {
        assert_ptr_equal(wfdb_codec_find(c->number), c);
        if (c->decode == NULL || c->is_difference)
            continue;
        rows++;
        for (int64_t count = 0; count < 40; count++) {
            int32_t in[40], out[41];
            unsigned char bytes[200];
            for (int64_t i = 0; i < count; i++)
                in[i] = value_at(c, (uint64_t)i);
            size_t size = encode(c->number, in, count, bytes);
            assert_int_equal(wfdb_codec_bytes(c, count), size);
            /* two samples of format 310 take the bytes of three */
            int64_t held = c->number == 310 && count % 3 == 2 ? count + 1 : count;
            assert_int_equal(wfdb_codec_samples(c, (int64_t)size), held);
            if (size > 0)
                assert_true(wfdb_codec_samples(c, (int64_t)size - 1) < count);
            unsigned char *exact = malloc(size > 0 ? size : 1); /* an overrun is seen by ASan */
            memcpy(exact, bytes, size);
            out[count] = 12345;
            c->decode(exact, count, out);
            assert_memory_equal(in, out, (size_t)count * sizeof *in);
            assert_int_equal(out[count], 12345);
            free(exact);
        }
    }
    assert_int_equal(rows, 9);
    assert_null(wfdb_codec_find(1));
    assert_null(wfdb_codec_find(-1));
}

/* A record of `signals` signals in one file, written by the encoders (or libsndfile). */
struct sample_record {
    const struct wfdb_codec *codec;
    int signals, per_frame;
    int64_t frames;
    int32_t *values; /* [signal][frame * per_frame] */
    unsigned char *bytes;
    size_t size;
};

static int64_t row_length(const struct sample_record *s) { return s->frames * s->per_frame; }

struct memory {
    unsigned char *data;
    sf_count_t size, at;
};
static sf_count_t memory_size(void *m) { return ((struct memory *)m)->size; }
static sf_count_t memory_seek(sf_count_t offset, int whence, void *user)
{
    struct memory *m = user;
    return m->at = offset + (whence == SEEK_SET ? 0 : whence == SEEK_CUR ? m->at : m->size);
}
static sf_count_t memory_read(void *to, sf_count_t n, void *user)
{
    struct memory *m = user;
    n = n < m->size - m->at ? n : m->size - m->at;
    memcpy(to, m->data + m->at, (size_t)n);
    m->at += n;
    return n;
}
static sf_count_t memory_write(const void *from, sf_count_t n, void *user)
{
    struct memory *m = user;
    memcpy(m->data + m->at, from, (size_t)n);
    m->at += n;
    m->size = m->at > m->size ? m->at : m->size;
    return n;
}
static sf_count_t memory_tell(void *m) { return ((struct memory *)m)->at; }

static void encode_flac(struct sample_record *s)
{
    SF_VIRTUAL_IO io = {memory_size, memory_seek, memory_read, memory_write, memory_tell};
    struct memory m = {.data = calloc(1, 1 << 20)};
    int subtype = s->codec->bits == 8    ? SF_FORMAT_PCM_S8
                  : s->codec->bits == 16 ? SF_FORMAT_PCM_16
                                         : SF_FORMAT_PCM_24;
    SF_INFO info = {.samplerate = 1000, .channels = s->signals, .format = SF_FORMAT_FLAC | subtype};
    SNDFILE *f = sf_open_virtual(&io, SFM_WRITE, &info, &m);
    assert_non_null(f);
    int frame[8];
    for (int64_t t = 0; t < row_length(s); t++) {
        for (int k = 0; k < s->signals; k++)
            frame[k] = (int)((uint32_t)s->values[k * row_length(s) + t] << (32 - s->codec->bits));
        assert_int_equal(sf_writef_int(f, frame, 1), 1);
    }
    sf_close(f);
    s->bytes = m.data;
    s->size = (size_t)m.size;
}

static void make_record(struct sample_record *s)
{
    int64_t n = row_length(s);
    s->values = malloc((size_t)(n * s->signals) * sizeof *s->values);
    for (int k = 0; k < s->signals; k++)
        for (int64_t t = 0; t < n; t++)
            s->values[k * n + t] = value_at(s->codec, (uint64_t)(t * s->signals + k));
    if (s->codec->is_flac) {
        encode_flac(s);
        return;
    }
    int32_t *stream = malloc((size_t)(n * s->signals) * sizeof *stream);
    s->bytes = malloc((size_t)(n * s->signals) * 4 + 8);
    int64_t at = 0;
    for (int64_t frame = 0; frame < s->frames; frame++)
        for (int k = 0; k < s->signals; k++)
            for (int j = 0; j < s->per_frame; j++)
                stream[at++] = s->values[k * n + frame * s->per_frame + j];
    if (s->codec->is_difference) { /* each signal has its own running sum */
        unsigned char one[4096];
        assert_true(s->signals == 1 || s->per_frame == 1);
        for (int k = 0; k < s->signals; k++) {
            encode(8, s->values + k * n, n, one);
            one[0] = 0; /* the first value stands in the header */
            for (int64_t t = 0; t < n; t++)
                s->bytes[t * s->signals + k] = one[t];
        }
        s->size = (size_t)(n * s->signals);
    } else {
        s->size = encode(s->codec->number, stream, n * s->signals, s->bytes);
    }
    free(stream);
}

static void free_record(struct sample_record *s)
{
    free(s->values);
    free(s->bytes);
}

/* Writes NAME.hea and NAME.dat, the samples behind `offset` other bytes. */
static void write_record(const struct sample_record *s, const char *name, int64_t offset,
                         bool with_length)
{
    struct buf b;
    char file[64];
    buf_init(&b, 0);
    if (with_length)
        buf_printf(&b, "%s %d 100 %lld\n", name, s->signals, (long long)s->frames);
    else
        buf_printf(&b, "%s %d 100\n", name, s->signals);
    for (int k = 0; k < s->signals; k++) {
        uint16_t sum = 0;
        for (int64_t t = 0; t < row_length(s); t++)
            sum = (uint16_t)(sum + (uint32_t)s->values[k * row_length(s) + t]);
        buf_printf(&b, "%s.dat %d", name, s->codec->number);
        if (s->per_frame > 1)
            buf_printf(&b, "x%d", s->per_frame);
        if (offset > 0)
            buf_printf(&b, "+%lld", (long long)offset);
        buf_printf(&b, " 100(5)/mV %d 0 %d %d 0 V%d\n", s->codec->bits,
                   (int)s->values[k * row_length(s)], k % 2 == 0 ? (int)(int16_t)sum : (int)sum,
                   k + 1);
    }
    snprintf(file, sizeof file, "%s.hea", name);
    write_file(file, b.data, b.len);
    buf_clear(&b);
    for (int64_t i = 0; i < offset; i++)
        buf_append(&b, "x", 1);
    buf_append(&b, s->bytes, s->size);
    snprintf(file, sizeof file, "%s.dat", name);
    write_file(file, b.data, b.len);
    buf_free(&b);
}

static int32_t expected_value(const struct sample_record *s, int64_t k, int64_t t)
{
    int32_t v = s->values[k * row_length(s) + t];
    return s->codec->has_invalid && v == s->codec->invalid ? ADC_INVALID : v;
}

/* Written and read: values, flags, conversion; parts of the record from every beginning. */
static void test_records(void **state)
{
    (void)state;
    for (const struct wfdb_codec *c = wfdb_codecs; c->number >= 0; c++) {
        if (c->number == 0)
            continue;
        for (int variant = 0; variant < 4; variant++) {
            struct sample_record s = {.codec = c,
                                      .signals = (const int[]){1, 2, 3, 2}[variant],
                                      .per_frame = c->is_difference || variant < 3 ? 1 : 3,
                                      .frames = 101 + variant};
            make_record(&s);
            write_record(&s, "r", variant * 7, true);
            struct ecg_record r;
            struct err e = {0};
            if (record_read(file_in("r"), &(struct read_options){.strict = true}, &r, &e) != ERR_OK)
                fail_msg("format %d, variant %d: %s", c->number, variant, e.message);
            assert_int_equal(r.flags, 0);
            assert_int_equal(r.issue_count, 0);
            assert_int_equal(r.lead_count, s.signals);
            assert_int_equal(r.sample_count, row_length(&s));
            assert_true(r.rate_hz == 100 * s.per_frame);
            for (int64_t k = 0; k < s.signals; k++) {
                int64_t invalid = 0;
                for (int64_t t = 0; t < r.sample_count; t++) {
                    int32_t v = expected_value(&s, k, t);
                    float x = r.samples[k * r.sample_count + t];
                    invalid += v == ADC_INVALID;
                    assert_true(v == ADC_INVALID ? isnan(x) : x == (float)((v - 5.0) / 100));
                }
                assert_int_equal(r.channels[k].invalid_count, invalid);
            }
            ecg_record_free(&r);

            for (int64_t begin = 0; begin < 8; begin++)
                for (int64_t length = 1; length < 8; length++) {
                    const int32_t *values;
                    struct wfdb_request request = {begin, begin + length};
                    ecg_record_init(&r);
                    assert_int_equal(wfdb_read_digital(file_in("r"), NULL, &request, &r, &values,
                                                       &e),
                                     ERR_OK);
                    assert_int_equal(r.sample_count, length * s.per_frame);
                    for (int64_t k = 0; k < s.signals; k++)
                        for (int64_t t = 0; t < r.sample_count; t++)
                            assert_int_equal(values[k * r.sample_count + t],
                                             expected_value(&s, k, begin * s.per_frame + t));
                    ecg_record_free(&r);
                }

            /* Without a length the file decides; padding may look like one sample more. */
            write_record(&s, "r", variant * 7, false);
            assert_int_equal(record_read(file_in("r"), NULL, &r, &e), ERR_OK);
            int64_t held =
                c->is_flac ? row_length(&s) : wfdb_codec_samples(c, (int64_t)s.size) / s.signals;
            assert_int_equal(r.sample_count, held);
            ecg_record_free(&r);
            free_record(&s);
        }
    }
}

/* One wrong value anywhere is a wrong checksum or first value, a note or a refusal. */
static void test_checksum(void **state)
{
    (void)state;
    struct sample_record s = {.codec = wfdb_codec_find(16),
                              .signals = 2,
                              .per_frame = 1,
                              .frames = 20};
    make_record(&s);
    for (size_t i = 0; i < s.size; i++) {
        s.bytes[i] ^= 1;
        write_record(&s, "r", 0, true);
        s.bytes[i] ^= 1;
        struct ecg_record r;
        struct err e = {0};
        assert_int_equal(record_read(file_in("r.hea"), NULL, &r, &e), ERR_OK);
        unsigned initial = i < 4 ? RECORD_INITIAL_MISMATCH : 0;
        /* The second sample is -32768 flipped and so on: only the flags matter here. */
        assert_int_equal(r.flags & RECORD_CHECKSUM_MISMATCH, RECORD_CHECKSUM_MISMATCH);
        assert_int_equal(r.flags & RECORD_INITIAL_MISMATCH, initial);
        assert_true(r.issue_count >= 1);
        ecg_record_free(&r);
        assert_int_equal(record_read(file_in("r.hea"), &(struct read_options){.strict = true}, &r,
                                     &e),
                         ERR_CHECKSUM);
        ecg_record_free(&r);
    }
    free_record(&s);
}

/* Every shorter file, in every format: what all signals have, marked short; nothing padded. */
static void test_truncation(void **state)
{
    (void)state;
    for (const struct wfdb_codec *c = wfdb_codecs; c->number >= 0; c++) {
        if (c->number == 0)
            continue;
        struct sample_record s = {.codec = c, .signals = 2, .per_frame = 1, .frames = 33};
        make_record(&s);
        write_record(&s, "r", 0, true);
        for (size_t size = 0; size < s.size; size++) {
            write_file("r.dat", s.bytes, size);
            struct ecg_record r;
            struct err e = {0};
            enum err_code code = record_read(file_in("r"), NULL, &r, &e);
            if (code == ERR_OK) {
                assert_true(r.flags & RECORD_SHORT);
                assert_false(r.flags & RECORD_CHECKSUM_MISMATCH);
                assert_true(r.issue_count >= 1 && r.sample_count >= 1 && r.sample_count < s.frames);
                for (int64_t k = 0; k < 2; k++)
                    for (int64_t t = 0; t < r.sample_count; t++) {
                        int32_t v = expected_value(&s, k, t);
                        float x = r.samples[k * r.sample_count + t];
                        assert_true(v == ADC_INVALID ? isnan(x) : x == (float)((v - 5.0) / 100));
                    }
            } else if (code != ERR_TRUNCATED && !(c->is_flac && code == ERR_FORMAT)) {
                fail_msg("format %d, %zu bytes: %s", c->number, size, e.message);
            }
            if (!c->is_flac)
                assert_int_equal(code == ERR_OK ? r.sample_count : 0,
                                 wfdb_codec_samples(c, (int64_t)size) / 2);
            ecg_record_free(&r);
            assert_int_not_equal(record_read(file_in("r"), &(struct read_options){.strict = true},
                                             &r, &e),
                                 ERR_OK);
            ecg_record_free(&r);
        }
        free_record(&s);
    }
}

/* FLAC of several blocks, cut anywhere: the blocks that are whole; and headers that disagree. */
static void test_flac_damage(void **state)
{
    (void)state;
    struct sample_record s = {.codec = wfdb_codec_find(516),
                              .signals = 2,
                              .per_frame = 2,
                              .frames = 12000};
    make_record(&s);
    write_record(&s, "r", 0, true);
    int64_t before = 0;
    for (size_t size = 0; size <= s.size; size += s.size / 20) {
        write_file("r.dat", s.bytes, size);
        struct ecg_record r;
        struct err e = {0};
        enum err_code code = record_read(file_in("r"), NULL, &r, &e);
        if (code == ERR_OK) {
            assert_int_equal(r.flags, size < s.size ? RECORD_SHORT : 0);
            assert_true(r.sample_count >= before && r.sample_count <= row_length(&s));
            before = r.sample_count;
            for (int64_t k = 0; k < 2; k++)
                for (int64_t t = 0; t < r.sample_count; t++) {
                    int32_t v = expected_value(&s, k, t);
                    float x = r.samples[k * r.sample_count + t];
                    assert_true(v == ADC_INVALID ? isnan(x) : x == (float)((v - 5.0) / 100));
                }
        } else {
            assert_true(code == ERR_TRUNCATED || code == ERR_FORMAT);
            assert_int_equal(before, 0);
        }
        ecg_record_free(&r);
    }
    assert_true(before > row_length(&s) / 2);

    write_file("r.dat", s.bytes, s.size);
    static const struct {
        const char *header, *word;
    } wrong[] = {
        {"r 2 100 9\nr.dat 508\nr.dat 508\n", "bits"},
        {"r 3 100 9\nr.dat 516\nr.dat 516\nr.dat 516\n", "channels"},
        {"r 9 100 9\nr.dat 516\nr.dat 516\nr.dat 516\nr.dat 516\nr.dat 516\nr.dat 516\n"
         "r.dat 516\nr.dat 516\nr.dat 516\n",
         "at most 8"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct ecg_record r;
        struct err e = {0};
        write_file("r.hea", wrong[i].header, strlen(wrong[i].header));
        assert_int_equal(record_read(file_in("r"), NULL, &r, &e), ERR_FORMAT);
        assert_non_null(strstr(e.message, wrong[i].word));
        ecg_record_free(&r);
    }
    free_record(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decode),      cmocka_unit_test(test_records),
        cmocka_unit_test(test_checksum),    cmocka_unit_test(test_truncation),
        cmocka_unit_test(test_flac_damage),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
