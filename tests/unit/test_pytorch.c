/* format/zip, format/pickle and format/pytorch: what PyTorch wrote (tests/fixtures, made by
 * scripts/ref_checkpoints.py), round trips, and every way a hostile archive or pickle can lie. */
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

#include "base/buf.h"
#include "base/file.h"
#include "base/rng.h"
#include "folder.h"
#include "format/pytorch.h"
#include "ref_checkpoints.h"

#define FIXTURES "tests/fixtures/"

/* Walks everything that a caller may touch: reads every tensor, follows every container. */
static enum err_code walk(struct pytorch *p, const struct pickle_value *v, int64_t *values,
                          struct err *e)
{
    const struct pytorch_tensor *t = pytorch_tensor(v);
    if (t) {
        float *out = malloc((size_t)t->numel * sizeof *out + 1);
        enum err_code code = pytorch_read_f32(p, t, out, e);
        *values += t->numel;
        free(out);
        return code;
    }
    if (v->kind == PICKLE_TUPLE || v->kind == PICKLE_LIST || v->kind == PICKLE_DICT)
        for (int64_t i = 0; i < v->count; i++) {
            enum err_code code = walk(p, v->items[i], values, e);
            if (code != ERR_OK)
                return code;
        }
    return ERR_OK;
}

static enum err_code parse_and_walk(const void *bytes, size_t size, struct err *e)
{
    struct pytorch p;
    unsigned char *exact = malloc(size ? size : 1); /* so that a sanitizer sees any step beyond */
    memcpy(exact, bytes, size);
    enum err_code code = pytorch_parse(&p, exact, size, "image", e);
    int64_t values = 0;
    if (code == ERR_OK)
        code = walk(&p, p.root, &values, e);
    pytorch_close(&p);
    free(exact);
    return code;
}

/* ---- what PyTorch wrote ---- */

static const struct pytorch_tensor *view(const struct pytorch *p, const char *name)
{
    const struct pytorch_tensor *t = pytorch_tensor(pickle_get(pickle_get(p->root, "views"), name));
    if (!t)
        fail_msg("no tensor %s", name);
    return t;
}

static float *read_view(struct pytorch *p, const char *name, int64_t numel)
{
    const struct pytorch_tensor *t = view(p, name);
    struct err e = {0};
    assert_int_equal(t->numel, numel);
    float *out = arena_push_array(&arena, (size_t)numel, sizeof *out);
    if (pytorch_read_f32(p, t, out, &e) != ERR_OK)
        fail_msg("%s: %s", name, e.message);
    return out;
}

static void test_views_and_types(void **state)
{
    (void)state;
    struct pytorch p;
    struct err e = {0};
    if (pytorch_open(&p, FIXTURES "views.pt", &e) != ERR_OK)
        fail_msg("%s", e.message);
    assert_string_equal(p.top, "archive");
    assert_string_equal(pickle_get_text(p.root, "text", ""), "h\xC3\xA9llo");
    assert_int_equal(pickle_get(p.root, "none")->kind, PICKLE_NONE);
    assert_true(pickle_get_number(p.root, "real", 0) == 0.1);
    static const int64_t numbers[] = {1, -2, 300, 70000, -70000, INT64_C(1) << 50};
    const struct pickle_value *tuple = pickle_get(p.root, "tuple");
    assert_int_equal(tuple->count, 6);
    for (int i = 0; i < 6; i++)
        assert_int_equal(tuple->items[i]->integer, numbers[i]);

    float *x = read_view(&p, "whole", 30);
    for (int i = 0; i < 30; i++)
        assert_true(x[i] == value_of("base", i));
    x = read_view(&p, "transposed", 30);
    for (int i = 0; i < 30; i++)
        assert_true(x[i] == value_of("base", i % 6 * 5 + i / 6));
    x = read_view(&p, "part", 9);
    for (int i = 0; i < 9; i++)
        assert_true(x[i] == value_of("base", (1 + i / 3) * 5 + 2 + i % 3));
    x = read_view(&p, "step", 6);
    for (int i = 0; i < 6; i++)
        assert_true(x[i] == value_of("base", 2 * (i / 2) * 5 + 1 + 3 * (i % 2)));
    assert_ptr_equal(view(&p, "whole")->storage, view(&p, "step")->storage);
    x = read_view(&p, "turned", 24); /* [4,2,3] of [2,3,4] */
    for (int i = 0; i < 24; i++)
        assert_true(x[i] == (float)(i / 3 % 2 * 12 + i % 3 * 4 + i / 6));

    x = read_view(&p, "f64", 7);
    for (int i = 0; i < 7; i++)
        assert_true(x[i] == value_of("f64", i));
    x = read_view(&p, "f16", 9);
    for (int i = 0; i < 9; i++)
        assert_true(fabsf(x[i] - value_of("f16", i)) <= 0x1p-12f);
    x = read_view(&p, "bf16", 9);
    for (int i = 0; i < 9; i++)
        assert_true(fabsf(x[i] - value_of("bf16", i)) <= 0x1p-9f);
    x = read_view(&p, "half_extremes", 4);
    assert_true(x[0] == 65504 && x[1] == 0x1p-24f && x[2] == -0x1.ff8p-15f && x[3] == INFINITY);
    x = read_view(&p, "i64", 3);
    assert_true(x[0] == -0x1p40f && x[1] == 0 && x[2] == 7);
    x = read_view(&p, "i32", 2);
    assert_true(x[0] == -5 && x[1] == 6);
    x = read_view(&p, "i16", 2);
    assert_true(x[0] == -5 && x[1] == 6);
    x = read_view(&p, "i8", 2);
    assert_true(x[0] == -128 && x[1] == 127);
    x = read_view(&p, "u8", 2);
    assert_true(x[0] == 0 && x[1] == 255);
    x = read_view(&p, "bool", 3);
    assert_true(x[0] == 1 && x[1] == 0 && x[2] == 1);
    x = read_view(&p, "scalar", 1);
    assert_true(x[0] == 2.5f && view(&p, "scalar")->rank == 0);
    x = read_view(&p, "parameter", 3);
    assert_true(x[2] == value_of("parameter", 2));
    assert_int_equal(view(&p, "empty")->numel, 0);
    pytorch_close(&p);
    pytorch_close(&p);
}

/* The optimizer's state is two thirds of a checkpoint: nothing of it is read. */
static void test_only_what_is_asked_for(void **state)
{
    (void)state;
    static const char *const files[] = {"pretrained_gv.pt", "pretrained_parametrized.pt",
                                        "classifier.pt"};
    for (int f = 0; f < 3; f++) {
        struct pytorch p;
        struct err e = {0};
        char path[100];
        snprintf(path, sizeof path, FIXTURES "%s", files[f]);
        if (pytorch_open(&p, path, &e) != ERR_OK)
            fail_msg("%s", e.message);
        uint64_t opened = p.zip.file.bytes_read, headers = 0, wanted = 0, others = 0;
        for (int64_t i = 0; i < p.zip.count; i++)
            headers += p.zip.entries[i].offset - p.zip.entries[i].header + 100;
        const struct zip_entry *pickle = zip_find(&p.zip, "archive/data.pkl");
        assert_true(opened <= headers + pickle->size + 1000);
        const struct pickle_value *model = pickle_get(p.root, "model");
        assert_true(model->ordered);
        for (int64_t i = 0; i < model->count; i += 2) {
            const struct pytorch_tensor *t = pytorch_tensor(model->items[i + 1]);
            assert_non_null(t);
            float *out = malloc((size_t)t->numel * sizeof *out);
            assert_int_equal(pytorch_read_f32(&p, t, out, &e), ERR_OK);
            for (int64_t k = 0; k < t->numel; k++)
                assert_true(out[k] == value_of(model->items[i]->text, k));
            free(out);
            wanted += t->storage->entry->size;
        }
        for (int64_t i = 0; i < p.zip.count; i++)
            others += p.zip.entries[i].size;
        assert_int_equal(p.zip.file.bytes_read - opened, wanted);
        assert_true(others - pickle->size > 3 * wanted - 100);
        assert_int_equal(pickle_get_int(pickle_get(p.root, "extra_state"), "negative", 0),
                         -(INT64_C(1) << 40));
        pytorch_close(&p);
    }
}

/* ---- round trips ---- */

static const char *write_sample(const char *name)
{
    static const float weight[6] = {1, -2, 3.5f, 1e-30f, 5, 6};
    static const uint16_t half[3] = {0x3c00, 0x7bff, 0x8001};
    static const int64_t whole[2] = {INT64_MIN, INT64_MAX};
    static const uint8_t truth[2] = {1, 0};
    struct pickle_value *root = pickle_new(&arena, PICKLE_DICT),
                        *model = pickle_new(&arena, PICKLE_DICT),
                        *list = pickle_new(&arena, PICKLE_LIST);
    model->ordered = true;
    pickle_set(&arena, model, "weight",
               pytorch_tensor_new(&arena, ST_F32, 2, (int64_t[]){2, 3}, weight));
    pickle_set(&arena, model, "half", pytorch_tensor_new(&arena, ST_F16, 1, (int64_t[]){3}, half));
    pickle_set(&arena, model, "brain",
               pytorch_tensor_new(&arena, ST_BF16, 1, (int64_t[]){3}, half));
    pickle_set(&arena, model, "whole",
               pytorch_tensor_new(&arena, ST_I64, 1, (int64_t[]){2}, whole));
    pickle_set(&arena, model, "truth",
               pytorch_tensor_new(&arena, ST_BOOL, 1, (int64_t[]){2}, truth));
    pickle_set(&arena, model, "scalar", pytorch_tensor_new(&arena, ST_F32, 0, NULL, weight));
    pickle_set(&arena, model, "empty",
               pytorch_tensor_new(&arena, ST_F32, 2, (int64_t[]){0, 4}, NULL));
    static const int64_t numbers[] = {0,         255,       256,       -1,        INT32_MIN,
                                      INT32_MAX, INT64_MIN, INT64_MAX, 0x12345678};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        pickle_append(&arena, list, pickle_int(&arena, numbers[i]));
    pickle_append(&arena, list, pickle_float(&arena, -0.1));
    pickle_append(&arena, list, pickle_bool(&arena, true));
    pickle_append(&arena, list, pickle_bool(&arena, false));
    pickle_append(&arena, list, pickle_new(&arena, PICKLE_TUPLE));
    pickle_set(&arena, root, "args", pickle_new(&arena, PICKLE_NONE));
    pickle_set(&arena, root, "model", model);
    pickle_set(&arena, root, "list", list);
    pickle_set(&arena, root, "text", pickle_text(&arena, "tab\t \xF0\x9F\xAB\x80"));
    const char *path = in_folder(name);
    struct err e = {0};
    if (pytorch_write(path, root, &e) != ERR_OK)
        fail_msg("%s", e.message);
    return path;
}

static void test_round_trip(void **state)
{
    (void)state;
    struct pytorch p;
    struct err e = {0};
    const char *path = write_sample("sample.pt");
    if (pytorch_open(&p, path, &e) != ERR_OK)
        fail_msg("%s", e.message);
    const struct pickle_value *model = pickle_get(p.root, "model"),
                              *list = pickle_get(p.root, "list");
    const struct pytorch_tensor *t = pytorch_tensor(pickle_get(model, "weight"));
    float weight[6];
    assert_int_equal(pytorch_read_f32(&p, t, weight, &e), ERR_OK);
    assert_true(weight[0] == 1 && weight[3] == 1e-30f && weight[5] == 6);
    assert_int_equal(t->storage->entry->offset % 64, 0);
    int64_t whole[2];
    assert_int_equal(pytorch_read(&p, pytorch_tensor(pickle_get(model, "whole")), whole, &e),
                     ERR_OK);
    assert_true(whole[0] == INT64_MIN && whole[1] == INT64_MAX);
    float half[3], brain[3];
    assert_int_equal(pytorch_read_f32(&p, pytorch_tensor(pickle_get(model, "half")), half, &e),
                     ERR_OK);
    assert_true(half[0] == 1 && half[1] == 65504 && half[2] == -0x1p-24f);
    assert_int_equal(pytorch_read_f32(&p, pytorch_tensor(pickle_get(model, "brain")), brain, &e),
                     ERR_OK);
    assert_true(brain[0] == 0.0078125f);
    assert_true(list->items[0]->integer == 0 && list->items[1]->integer == 255 &&
                list->items[3]->integer == -1 && list->items[4]->integer == INT32_MIN &&
                list->items[6]->integer == INT64_MIN && list->items[7]->integer == INT64_MAX &&
                list->items[8]->integer == 0x12345678 && list->items[9]->real == -0.1 &&
                list->items[10]->truth && !list->items[11]->truth && list->items[12]->count == 0);
    assert_string_equal(pickle_get_text(p.root, "text", ""), "tab\t \xF0\x9F\xAB\x80");
    pytorch_close(&p);

    struct buf first, second;
    assert_int_equal(file_read(path, 1 << 20, &first, &e), ERR_OK);
    assert_int_equal(file_read(write_sample("again.pt"), 1 << 20, &second, &e), ERR_OK);
    assert_int_equal(first.len, second.len);
    assert_memory_equal(first.data, second.data, first.len);
    assert_int_equal(parse_and_walk(first.data, first.len, &e), ERR_OK);
    buf_free(&first);
    buf_free(&second);
}

/* ---- images ---- */

struct image {
    unsigned char *bytes;
    size_t size;
};

static struct image image_read(const char *path)
{
    struct buf b;
    struct err e = {0};
    if (file_read(path, 16 << 20, &b, &e) != ERR_OK)
        fail_msg("%s", e.message);
    struct image image = {malloc(b.len * 2), b.len};
    memcpy(image.bytes, b.data, b.len);
    buf_free(&b);
    return image;
}

/* An archive of data.pkl, one storage of 24 bytes under key "0", and version. */
static struct image image_of(const void *pickle, size_t size)
{
    static const char storage[24] = "twenty-four bytes of it";
    struct zip_writer w;
    const char *path = in_folder("image.pt");
    assert_int_equal(zip_writer_open(&w, path, NULL), ERR_OK);
    w.file.unsynced = true;
    zip_writer_add(&w, "top/data.pkl", pickle, size);
    zip_writer_add(&w, "top/data/0", storage, sizeof storage);
    zip_writer_add(&w, "top/version", "3\n", 2);
    assert_int_equal(zip_writer_commit(&w, NULL), ERR_OK);
    return image_read(path);
}

static void refuse(const char *name, const struct image *image, enum err_code code,
                   const char *says)
{
    struct err e = {0};
    enum err_code found = parse_and_walk(image->bytes, image->size, &e);
    if (found != code || !strstr(e.message, says))
        fail_msg("%s\ngave %s: %s\nexpected %s: ...%s...", name, err_code_name(found), e.message,
                 err_code_name(code), says);
}

/* ---- pickles that lie ---- */

#define P2 "\x80\x02"
#define STORAGE(class, key, count)                                                                 \
    "(X\7\0\0\0storage" class "X\1\0\0\0" key "X\3\0\0\0cpu" count "tQ"
#define FLOATS "ctorch\nFloatStorage\n"
#define TENSOR(storage, offset, sizes, strides)                                                    \
    "ctorch._utils\n_rebuild_tensor_v2\n(" storage offset sizes strides "\x89"                     \
    "ccollections\nOrderedDict\n)RtR"
#define SIX STORAGE(FLOATS, "0", "K\6")
#define SIZES "K\2K\3\x86"
#define STRIDES "K\3K\1\x86"
#define HUGE_INT "\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f"
#define LIT(text) text, sizeof(text) - 1

static const struct {
    const char *name;
    const char *pickle;
    size_t size;
    enum err_code code;
    const char *says;
} pickles[] = {
    {"no pickle", LIT("hello"), ERR_FORMAT, "protocol 2"},
    {"empty pickle", LIT(""), ERR_FORMAT, "protocol 2"},
    {"protocol 4", LIT("\x80\x04}."), ERR_UNSUPPORTED, "protocol 4"},
    {"no STOP", LIT(P2 "}"), ERR_TRUNCATED, "without STOP"},
    {"bytes after STOP", LIT(P2 "}.}"), ERR_FORMAT, "after STOP"},
    {"two values", LIT(P2 "}}."), ERR_FORMAT, "2 values on the stack"},
    {"nothing", LIT(P2 "."), ERR_FORMAT, "0 values on the stack"},
    {"mark left", LIT(P2 "}(."), ERR_FORMAT, "values on the stack"},
    {"unknown opcode", LIT(P2 "}0."), ERR_UNSUPPORTED, "opcode 0x30"},
    {"INST", LIT(P2 "(ios\nsystem\n."), ERR_UNSUPPORTED, "opcode 0x69"},
    {"STACK_GLOBAL", LIT(P2 "X\2\0\0\0osX\6\0\0\0system\x93."), ERR_UNSUPPORTED, "opcode 0x93"},
    {"NEWOBJ", LIT(P2 "ccollections\nOrderedDict\n)\x81."), ERR_UNSUPPORTED, "opcode 0x81"},
    {"os.system", LIT(P2 "cos\nsystem\nX\4\0\0\0trueR\x85R."), ERR_UNSUPPORTED, "global os.system"},
    {"builtins.eval",
     LIT(P2 "c__builtin__\neval\nX\1\0\0\0"
            "1\x85R."),
     ERR_UNSUPPORTED, "global __builtin__.eval"},
    {"longer global", LIT(P2 "ctorch\nFloatStorageX\n."), ERR_UNSUPPORTED, "torch.FloatStorageX"},
    {"global without name", LIT(P2 "ctorch\n\n."), ERR_FORMAT, "name of a global"},
    {"global without end", LIT(P2 "ctorch\nFloat"), ERR_FORMAT, "name of a global"},
    {"global left", LIT(P2 "}X\1\0\0\0actorch\nFloatStorage\ns."), ERR_FORMAT,
     "a class or storage"},
    {"storage left", LIT(P2 "}X\1\0\0\0a" SIX "s."), ERR_FORMAT, "a class or storage"},
    {"class called", LIT(P2 "ctorch\nFloatStorage\n)R."), ERR_FORMAT, "is called"},
    {"REDUCE of a list", LIT(P2 "])R."), ERR_FORMAT, "no global"},
    {"REDUCE without tuple", LIT(P2 "ccollections\nOrderedDict\n]R."), ERR_FORMAT, "no global"},
    {"OrderedDict of items", LIT(P2 "ccollections\nOrderedDict\n]\x85R."), ERR_UNSUPPORTED,
     "with arguments"},
    {"stack underflow", LIT(P2 "s."), ERR_FORMAT, "no value for opcode 0x73"},
    {"under the mark", LIT(P2 "}X\1\0\0\0a(Ns."), ERR_FORMAT, "no value for opcode 0x73"},
    {"APPENDS without mark", LIT(P2 "]Ne."), ERR_FORMAT, "no mark"},
    {"SETITEMS odd", LIT(P2 "}(K\1u."), ERR_FORMAT, "key without a value"},
    {"SETITEMS of a list", LIT(P2 "](K\1K\1u."), ERR_FORMAT, "no dictionary"},
    {"APPEND to a dictionary", LIT(P2 "}K\1a."), ERR_FORMAT, "no list"},
    {"list as a key", LIT(P2 "}]Ns."), ERR_UNSUPPORTED, "no text or number"},
    {"key twice", LIT(P2 "}(X\1\0\0\0aNX\1\0\0\0aNu."), ERR_FORMAT, "\"a\" occurs twice"},
    {"BUILD of a list", LIT(P2 "]}b."), ERR_UNSUPPORTED, "BUILD"},
    {"BUILD of a plain dictionary", LIT(P2 "}}b."), ERR_UNSUPPORTED, "BUILD"},
    {"memo never put", LIT(P2 "h\5."), ERR_FORMAT, "memo 5 was never put"},
    {"memo far away", LIT(P2 "}r\xff\xff\xff\xff."), ERR_LIMIT, "memo 4294967295"},
    {"a list in itself", LIT(P2 "]q\0h\0a."), ERR_FORMAT, "contains itself"},
    {"text beyond the end",
     LIT(P2 "X\xff\xff\xff\x7f"
            "abc."),
     ERR_TRUNCATED, "are there"},
    {"text not UTF-8", LIT(P2 "X\2\0\0\0\xc3\x28."), ERR_FORMAT, "not UTF-8"},
    {"text with a NUL", LIT(P2 "X\2\0\0\0a\0."), ERR_FORMAT, "a NUL"},
    {"long of 9 bytes",
     LIT(P2 "\x8a\x09"
            "123456789."),
     ERR_LIMIT, "9 bytes"},
    {"long beyond the end",
     LIT(P2 "\x8a\x08"
            "12."),
     ERR_TRUNCATED, "are there"},
    {"float beyond the end", LIT(P2 "G12."), ERR_TRUNCATED, "are there"},
    {"persistent id of text",
     LIT(P2 "X\1\0\0\0"
            "0Q."),
     ERR_FORMAT, "persistent id"},
    {"persistent id of another class",
     LIT(P2 STORAGE("ccollections\nOrderedDict\n", "0", "K\6") "."), ERR_FORMAT, "persistent id"},
    {"absent storage", LIT(P2 STORAGE(FLOATS, "7", "K\6") "."), ERR_FORMAT, "no entry top/data/7"},
    {"storage too short", LIT(P2 STORAGE(FLOATS, "0", "K\7") "."), ERR_FORMAT, "need 28 bytes"},
    {"storage too long", LIT(P2 STORAGE(FLOATS, "0", "K\5") "."), ERR_FORMAT, "need 20 bytes"},
    {"storage of another type", LIT(P2 STORAGE("ctorch\nDoubleStorage\n", "0", "K\6") "."),
     ERR_FORMAT, "need 48 bytes"},
    {"negative count", LIT(P2 STORAGE(FLOATS, "0", "J\xff\xff\xff\xff") "."), ERR_FORMAT,
     "overflow"},
    {"count that overflows", LIT(P2 STORAGE(FLOATS, "0", HUGE_INT) "."), ERR_FORMAT, "overflow"},
    {"one storage, two types", LIT(P2 SIX STORAGE("ctorch\nDoubleStorage\n", "0", "K\3") "\x86."),
     ERR_FORMAT, "elsewhere"},
    {"offset too far", LIT(P2 TENSOR(SIX, "K\7", SIZES, STRIDES) "."), ERR_FORMAT, "offset 7"},
    {"offset past the end", LIT(P2 TENSOR(SIX, "K\1", SIZES, STRIDES) "."), ERR_FORMAT,
     "reach value 6"},
    {"negative offset", LIT(P2 TENSOR(SIX, "J\xff\xff\xff\xff", SIZES, STRIDES) "."), ERR_FORMAT,
     "offset -1"},
    {"stride too large", LIT(P2 TENSOR(SIX, "K\0", SIZES, "K\4K\1\x86") "."), ERR_FORMAT,
     "reach value 6"},
    {"negative stride", LIT(P2 TENSOR(SIX, "K\5", SIZES, "J\xff\xff\xff\xffK\1\x86") "."),
     ERR_FORMAT, "stride 0"},
    {"strides that overflow", LIT(P2 TENSOR(SIX, "K\0", SIZES, HUGE_INT HUGE_INT "\x86") "."),
     ERR_FORMAT, "strides overflow"},
    {"values out of nothing", LIT(P2 TENSOR(SIX, "K\0", "K\7K\1\x86", "K\0K\0\x86") "."),
     ERR_FORMAT, "which overlap"},
    {"sizes that overflow", LIT(P2 TENSOR(SIX, "K\0", HUGE_INT HUGE_INT "\x86", "K\0K\0\x86") "."),
     ERR_FORMAT, "sizes overflow"},
    {"negative size", LIT(P2 TENSOR(SIX, "K\0", "J\xff\xff\xff\xffK\1\x86", STRIDES) "."),
     ERR_FORMAT, "size 0"},
    {"size that is text",
     LIT(P2 TENSOR(SIX, "K\0",
                   "X\1\0\0\0"
                   "2K\3\x86",
                   STRIDES) "."),
     ERR_FORMAT, "size 0"},
    {"fewer strides", LIT(P2 TENSOR(SIX, "K\0", SIZES, "K\1\x85") "."), ERR_FORMAT, "1 strides"},
    {"rank 9",
     LIT(P2 TENSOR(SIX, "K\0", "(K\1K\1K\1K\1K\1K\1K\1K\1K\1t",
                   "(K\1K\1K\1K\1K\1K\1K\1K\1K\1t") "."),
     ERR_LIMIT, "rank 9"},
    {"tensor of no storage", LIT(P2 TENSOR("N", "K\0", SIZES, STRIDES) "."), ERR_FORMAT,
     "expected storage"},
    {"hooks", LIT(P2 "ctorch._utils\n_rebuild_tensor_v2\n(" SIX "K\0" SIZES STRIDES "\x89K\1tR."),
     ERR_UNSUPPORTED, "hooks"},
    {"parameter of no tensor", LIT(P2 "ctorch._utils\n_rebuild_parameter\n(K\1\x89NtR."),
     ERR_FORMAT, "expected a tensor"},
};

static void test_pickles_that_lie(void **state)
{
    (void)state;
    static const char good[] = P2 "}X\1\0\0\0a" TENSOR(SIX, "K\0", SIZES, STRIDES) "s.";
    struct image image = image_of(good, sizeof good - 1);
    struct err e = {0};
    if (parse_and_walk(image.bytes, image.size, &e) != ERR_OK)
        fail_msg("the good one: %s", e.message);
    free(image.bytes);
    for (size_t i = 0; i < sizeof pickles / sizeof *pickles; i++) {
        image = image_of(pickles[i].pickle, pickles[i].size);
        refuse(pickles[i].name, &image, pickles[i].code, pickles[i].says);
        free(image.bytes);
    }
}

/* A pickle with a part repeated. */
static void refuse_grown(const char *name, const char *head, const char *part, int times,
                         const char *tail, enum err_code code, const char *says)
{
    struct buf b;
    buf_init(&b, 0);
    buf_puts(&b, head);
    for (int k = 0; k < times; k++)
        buf_puts(&b, part);
    buf_puts(&b, tail);
    struct image image = image_of(b.data, b.len);
    refuse(name, &image, code, says);
    free(image.bytes);
    buf_free(&b);
}

static void test_pickles_that_grow(void **state)
{
    (void)state;
    refuse_grown("marks", P2, "(", 100, ".", ERR_LIMIT, "nested deeper");
    refuse_grown("tuples in tuples", P2 "N", "\x85", 100, ".", ERR_LIMIT, "nested deeper");
    refuse_grown("values", P2 "(", "N", 1100000, "t.", ERR_LIMIT, "more than 1048576 values");
    refuse_grown("places in lists", P2 "Nq\1(", "(h\1h\1h\1h\1h\1h\1h\1h\1t", 600000, "t.",
                 ERR_LIMIT, "more than");

    /* each tuple holds the one before it twice: 2^40 values in 300 bytes */
    struct buf b;
    buf_init(&b, 0);
    buf_append(&b, P2 "(]q\0", 6);
    for (unsigned char k = 0; k < 40; k++) {
        const unsigned char step[] = {'h', k, 'h', k, 0x86, 'q', (unsigned char)(k + 1)};
        buf_append(&b, step, sizeof step);
    }
    buf_append(&b, "t.", 2);
    struct image image = image_of(b.data, b.len);
    refuse("doubling", &image, ERR_LIMIT, "expand");
    free(image.bytes);
    buf_free(&b);

    /* a text of 1 MB in 1000 places would be 1 GB for whoever copies it */
    buf_init(&b, 0);
    buf_append(&b, P2 "(X\0\0\x10\0", 8);
    for (int k = 0; k < 1 << 20; k++)
        buf_append(&b, "a", 1);
    buf_append(&b, "q\0", 2);
    for (int k = 0; k < 1000; k++)
        buf_append(&b, "h\0", 2);
    buf_append(&b, "t.", 2);
    image = image_of(b.data, b.len);
    refuse("long text", &image, ERR_LIMIT, "expand");
    free(image.bytes);
    buf_free(&b);
}

/* ---- archives that lie ---- */

#define LOCAL 0x04034b50u
#define CENTRAL 0x02014b50u
#define DESCRIPTOR 0x08074b50u
#define END 0x06054b50u
#define END64 0x06064b50u
#define LOCATOR 0x07064b50u

enum base { OURS, ZIP64, TORCH };

static const struct {
    const char *name;
    enum base base;
    uint32_t
        anchor; /* a signature, the `nth` of the file; `value` of `size` bytes goes `at` behind it */
    int nth, at, size;
    uint64_t value;
    enum err_code code;
    const char *says;
} patches[] = {
    {"end record gone", OURS, END, 0, 0, 4, 0, ERR_TRUNCATED, "does not end with"},
    {"a comment", OURS, END, 0, 20, 2, 1, ERR_TRUNCATED, "does not end with"},
    {"second disk", OURS, END, 0, 4, 2, 1, ERR_FORMAT, "several disks"},
    {"entries on two disks", OURS, END, 0, 8, 2, 2, ERR_FORMAT, "several disks"},
    {"one entry more", OURS, END, 0, 8, 4, 0x00040004, ERR_FORMAT, "do not fit"},
    {"one entry less", OURS, END, 0, 8, 4, 0x00020002, ERR_FORMAT, "after its 2 entries"},
    {"60000 entries", OURS, END, 0, 8, 4, 0xea60ea60, ERR_FORMAT, "do not fit"},
    {"directory elsewhere", OURS, END, 0, 16, 4, 77, ERR_FORMAT, "expected to end at"},
    {"directory beyond the end", OURS, END, 0, 16, 4, 0x7fffffff, ERR_FORMAT, "expected to end at"},
    {"directory too large", OURS, END, 0, 12, 4, 0x7fffffff, ERR_FORMAT, "expected to end at"},
    {"zip64 without a locator", OURS, END, 0, 16, 4, 0xffffffff, ERR_FORMAT, "no zip64 locator"},
    {"directory entry gone", OURS, CENTRAL, 1, 0, 4, 0, ERR_FORMAT, "entry 1 is not there"},
    {"compressed", OURS, CENTRAL, 1, 10, 2, 8, ERR_UNSUPPORTED, "is compressed (method 8)"},
    {"encrypted", OURS, CENTRAL, 1, 8, 2, 1, ERR_UNSUPPORTED, "is encrypted"},
    {"strange flags", OURS, CENTRAL, 1, 8, 2, 0x2000, ERR_UNSUPPORTED, "flags 2000"},
    {"two sizes", OURS, CENTRAL, 1, 20, 4, 23, ERR_FORMAT, "sizes 23 and 24"},
    {"another size", OURS, CENTRAL, 1, 20, 8, 0x1700000017, ERR_FORMAT, "another size or checksum"},
    {"a size beyond the data", OURS, CENTRAL, 1, 20, 8, 0x7fffffff7fffffff, ERR_TRUNCATED,
     "run into the directory"},
    {"a size that is zip64", OURS, CENTRAL, 1, 24, 4, 0xffffffff, ERR_FORMAT,
     "the field is missing"},
    {"another checksum", OURS, CENTRAL, 1, 16, 4, 5, ERR_FORMAT, "another size or checksum"},
    {"entry on another disk", OURS, CENTRAL, 1, 34, 2, 1, ERR_FORMAT, "another disk"},
    {"header elsewhere", OURS, CENTRAL, 1, 42, 4, 1, ERR_FORMAT, "no local header"},
    {"header of another entry", OURS, CENTRAL, 1, 42, 4, 0, ERR_FORMAT, "another name"},
    {"header beyond the end", OURS, CENTRAL, 1, 42, 4, 0x7ffffff0, ERR_FORMAT, "beyond the data"},
    {"no name", OURS, CENTRAL, 1, 28, 2, 0, ERR_FORMAT, "has no name"},
    {"a name beyond the directory", OURS, CENTRAL, 1, 28, 2, 60000, ERR_FORMAT, "longer than"},
    {"a name that is no UTF-8", OURS, CENTRAL, 1, 46, 1, 0xff, ERR_FORMAT, "has no name in UTF-8"},
    {"a name with a NUL", OURS, CENTRAL, 1, 46, 1, 0, ERR_FORMAT, "has no name in UTF-8"},
    {"a comment beyond the directory", OURS, CENTRAL, 2, 32, 2, 1, ERR_FORMAT, "longer than"},
    {"local header gone", OURS, LOCAL, 1, 0, 4, 0, ERR_FORMAT, "no local header"},
    {"local flags", OURS, LOCAL, 1, 6, 2, 0, ERR_FORMAT, "local header has flags 0000"},
    {"local method", OURS, LOCAL, 1, 8, 2, 8, ERR_FORMAT, "method 8"},
    {"local name", OURS, LOCAL, 1, 30, 1, 'T', ERR_FORMAT, "another name"},
    {"local name length", OURS, LOCAL, 1, 26, 2, 3, ERR_FORMAT, "another name"},
    {"local size", OURS, LOCAL, 1, 22, 4, 4, ERR_FORMAT, "another size or checksum"},
    {"local checksum", OURS, LOCAL, 1, 14, 4, 4, ERR_FORMAT, "another size or checksum"},
    {"local extra length", OURS, LOCAL, 2, 28, 2, 60000, ERR_TRUNCATED, "run into the directory"},
    {"data", OURS, 0x6e657774 /* twen */, 0, 1, 1, 0xaa, ERR_CHECKSUM,
     "top/data/0\": the data do not have"},
    {"zip64 locator of two disks", ZIP64, LOCATOR, 0, 16, 4, 2, ERR_FORMAT, "disk 0 of 2"},
    {"zip64 end record elsewhere", ZIP64, LOCATOR, 0, 8, 8, 12, ERR_FORMAT, "end record at 12"},
    {"zip64 end record far away", ZIP64, LOCATOR, 0, 8, 8, UINT64_MAX - 8, ERR_FORMAT,
     "end record at"},
    {"zip64 end record gone", ZIP64, END64, 0, 0, 4, 0, ERR_FORMAT, "signature or size"},
    {"zip64 end record of another size", ZIP64, END64, 0, 4, 8, 45, ERR_FORMAT,
     "signature or size"},
    {"zip64 counts differ", ZIP64, END64, 0, 24, 8, 4, ERR_FORMAT, "several disks"},
    {"zip64 directory offset", ZIP64, END64, 0, 48, 8, 3, ERR_FORMAT, "expected to end at"},
    {"zip64 directory size", ZIP64, END64, 0, 40, 8, UINT64_MAX, ERR_FORMAT, "expected to end at"},
    {"zip64 and end record differ", ZIP64, END, 0, 12, 4, 5, ERR_FORMAT, "the end record says"},
    {"zip64 locator gone", ZIP64, LOCATOR, 0, 0, 4, 0, ERR_FORMAT, "no zip64 locator"},
    {"zip64 field too short", ZIP64, CENTRAL, 1, 46 + 10 + 2, 2, 8, ERR_FORMAT, "field of 8 bytes"},
    {"zip64 field too long", ZIP64, CENTRAL, 1, 46 + 10 + 2, 2, 60000, ERR_FORMAT,
     "longer than its place"},
    {"zip64 field of another kind", ZIP64, CENTRAL, 1, 46 + 10, 2, 7, ERR_FORMAT,
     "the field is missing"},
    {"zip64 size", ZIP64, CENTRAL, 1, 46 + 10 + 4, 8, UINT64_MAX, ERR_FORMAT, "sizes"},
    {"zip64 offset", ZIP64, CENTRAL, 1, 46 + 10 + 20, 8, UINT64_MAX - 3, ERR_FORMAT,
     "beyond the data"},
    {"zip64 local size", ZIP64, LOCAL, 1, 30 + 10 + 4, 8, 1, ERR_FORMAT,
     "another size or checksum"},
    {"zip64 local field gone", ZIP64, LOCAL, 1, 30 + 10, 2, 9, ERR_FORMAT, "the field is missing"},
    {"descriptor gone", TORCH, DESCRIPTOR, 1, 0, 4, 0, ERR_FORMAT, "the descriptor"},
    {"descriptor checksum", TORCH, DESCRIPTOR, 1, 4, 4, 7, ERR_FORMAT, "the descriptor"},
    {"descriptor size", TORCH, DESCRIPTOR, 1, 8, 4, 7, ERR_FORMAT, "the descriptor"},
    {"local checksum before a descriptor", TORCH, LOCAL, 1, 14, 4, 7, ERR_FORMAT,
     "another size or checksum"},
    {"no descriptor by the directory", TORCH, CENTRAL, 1, 8, 2, 0x0800, ERR_FORMAT,
     "local header has flags"},
    {"pickle", OURS, 0x0001587d, 0, 0, 1, 0x5d, ERR_CHECKSUM, "top/data.pkl\": the data do not"},
};

static unsigned char *anchor_of(const struct image *image, uint32_t signature, int nth)
{
    for (size_t i = 0; i + 4 <= image->size; i++)
        if (memcmp(image->bytes + i, &signature, 4) == 0 && nth-- == 0)
            return image->bytes + i;
    fail_msg("no signature %08x", signature);
    return NULL;
}

static const char good_pickle[] = P2 "}X\1\0\0\0a" TENSOR(SIX, "K\0", SIZES, STRIDES) "s.";

static struct image image_zip64(void)
{
    struct zip_writer w;
    const char *path = in_folder("zip64.pt");
    assert_int_equal(zip_writer_open(&w, path, NULL), ERR_OK);
    w.large = 0;
    zip_writer_add(&w, "top/data.pkl", good_pickle, sizeof good_pickle - 1);
    zip_writer_add(&w, "top/data/0", "twenty-four bytes of it!", 24);
    zip_writer_add(&w, "top/version", "3\n", 2);
    assert_int_equal(zip_writer_commit(&w, NULL), ERR_OK);
    return image_read(path);
}

static void test_archives_that_lie(void **state)
{
    (void)state;
    struct image bases[] = {image_of(good_pickle, sizeof good_pickle - 1), image_zip64(),
                            image_read(FIXTURES "views.pt")};
    struct err e = {0};
    for (int i = 0; i < 3; i++)
        if (parse_and_walk(bases[i].bytes, bases[i].size, &e) != ERR_OK)
            fail_msg("base %d: %s", i, e.message);
    for (size_t i = 0; i < sizeof patches / sizeof *patches; i++) {
        struct image *image = &bases[patches[i].base];
        unsigned char *at = anchor_of(image, patches[i].anchor, patches[i].nth) + patches[i].at;
        unsigned char before[8];
        memcpy(before, at, 8);
        memcpy(at, &patches[i].value, (size_t)patches[i].size);
        refuse(patches[i].name, image, patches[i].code, patches[i].says);
        memcpy(at, before, (size_t)patches[i].size);
    }
    for (int i = 0; i < 3; i++)
        free(bases[i].bytes);
}

/* An archive of the given entries, after data.pkl. */
static void refuse_entries(const char *name, const char *const entries[][2], int count,
                           enum err_code code, const char *says)
{
    struct zip_writer w;
    const char *path = in_folder("entries.pt");
    assert_int_equal(zip_writer_open(&w, path, NULL), ERR_OK);
    for (int i = 0; i < count; i++)
        zip_writer_add(&w, entries[i][0], entries[i][1], strlen(entries[i][1]));
    assert_int_equal(zip_writer_commit(&w, NULL), ERR_OK);
    struct image image = image_read(path);
    refuse(name, &image, code, says);
    free(image.bytes);
}

#define ENTRIES(...)                                                                               \
    (const char *const[][2]){__VA_ARGS__}, sizeof((const char *const[][2]){__VA_ARGS__}) / 16

static void test_entries_that_are_missing(void **state)
{
    (void)state;
    static const char none[] = P2 "N.";
    refuse_entries("nothing", NULL, 0, ERR_FORMAT, "no TOP/data.pkl");
    refuse_entries("no folder", ENTRIES({"data.pkl", none}), ERR_FORMAT, "no TOP/data.pkl");
    refuse_entries("too deep", ENTRIES({"a/b/data.pkl", none}), ERR_FORMAT, "no TOP/data.pkl");
    refuse_entries("two pickles", ENTRIES({"a/data.pkl", none}, {"b/data.pkl", none}), ERR_FORMAT,
                   "several data.pkl");
    refuse_entries("the same twice", ENTRIES({"a/data.pkl", none}, {"a/data.pkl", none}),
                   ERR_FORMAT, "occurs twice");
    refuse_entries("outside", ENTRIES({"a/data.pkl", none}, {"b/version", "3"}), ERR_FORMAT,
                   "outside of a/");
    refuse_entries("no version", ENTRIES({"a/data.pkl", none}), ERR_UNSUPPORTED, "version \"\"");
    refuse_entries("version 11", ENTRIES({"a/data.pkl", none}, {"a/version", "11"}),
                   ERR_UNSUPPORTED, "version \"11\"");
    refuse_entries("long version",
                   ENTRIES({"a/data.pkl", none},
                           {"a/version", "3                                                        "
                                         "                                         "}),
                   ERR_FORMAT, "bytes");
    refuse_entries("big-endian",
                   ENTRIES({"a/data.pkl", none}, {"a/version", "3"}, {"a/byteorder", "big"}),
                   ERR_UNSUPPORTED, "byte order \"big\"");
    refuse_entries("TorchScript",
                   ENTRIES({"a/data.pkl", none}, {"a/version", "3"}, {"a/constants.pkl", none}),
                   ERR_UNSUPPORTED, "TorchScript");
    struct err e = {0};
    static const unsigned char legacy[] = {0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46,
                                           0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, 0x2e, 0x80};
    struct pytorch p;
    assert_int_equal(pytorch_parse(&p, legacy, sizeof legacy, "old", &e), ERR_UNSUPPORTED);
    assert_non_null(strstr(e.message, "before 1.6"));
    assert_int_equal(pytorch_open(&p, in_folder("absent.pt"), &e), ERR_NOT_FOUND);
    pytorch_close(&p);
}

/* A storage whose header and data lie inside another entry. */
static void test_entries_that_overlap(void **state)
{
    (void)state;
    struct image image = image_of(good_pickle, sizeof good_pickle - 1);
    unsigned char inner[64];
    memcpy(inner, anchor_of(&image, LOCAL, 1), 40);
    memcpy(inner + 28, "\0\0", 2); /* no extra field: the data follow the name */
    memcpy(inner + 40, "twenty-four bytes of it", 24);
    free(image.bytes);
    struct zip_writer w;
    const char *path = in_folder("overlap.pt");
    assert_int_equal(zip_writer_open(&w, path, NULL), ERR_OK);
    zip_writer_add(&w, "top/data.pkl", good_pickle, sizeof good_pickle - 1);
    zip_writer_add(&w, "top/data/0", "twenty-four bytes of it", 24);
    zip_writer_add(&w, "top/version", "3\n", 2);
    zip_writer_add(&w, "top/outer", inner, sizeof inner);
    assert_int_equal(zip_writer_commit(&w, NULL), ERR_OK);
    image = image_read(path);
    struct err e = {0};
    if (parse_and_walk(image.bytes, image.size, &e) != ERR_OK)
        fail_msg("%s", e.message);
    uint32_t at = (uint32_t)(anchor_of(&image, LOCAL, 4) - image.bytes);
    memcpy(anchor_of(&image, CENTRAL, 1) + 42, &at, 4);
    refuse("a storage inside another entry", &image, ERR_FORMAT, "overlap");
    free(image.bytes);
}

static void test_every_truncation(void **state)
{
    (void)state;
    struct image bases[] = {image_of(good_pickle, sizeof good_pickle - 1), image_zip64(),
                            image_read(FIXTURES "views.pt")};
    for (int i = 0; i < 3; i++) {
        for (size_t size = 0; size < bases[i].size; size += i == 2 ? 7 : 1)
            assert_int_not_equal(parse_and_walk(bases[i].bytes, size, NULL), ERR_OK);
        bases[i].bytes[bases[i].size] = 0;
        assert_int_not_equal(parse_and_walk(bases[i].bytes, bases[i].size + 1, NULL), ERR_OK);
        free(bases[i].bytes);
    }
}

/* Bytes overwritten, removed or doubled, in archives and, with right checksums, in pickles. */
static void mutate(struct image *image, struct rng *rng)
{
    static const unsigned char telling[] = {0,    1,    0xff, 0x7f, 0x80, 'P', 'K', '(',
                                            'q',  'h',  'R',  's',  '.',  'X', 'K', 0x85,
                                            0x86, 0x89, 0x8a, 'Q',  'u',  'b', 't'};
    for (int64_t edits = 1 + rng_below(rng, 3); edits > 0 && image->size > 0; edits--) {
        size_t at = (size_t)rng_below(rng, (int64_t)image->size);
        size_t length = 1 + (size_t)rng_below(rng, 8);
        if (length > image->size - at)
            length = image->size - at;
        switch (rng_below(rng, 4)) {
        case 0:
            image->bytes[at] = (unsigned char)rng_below(rng, 256);
            break;
        case 1:
            image->bytes[at] = telling[rng_below(rng, sizeof telling)];
            break;
        case 2:
            memmove(image->bytes + at, image->bytes + at + length, image->size - at - length);
            image->size -= length;
            break;
        default:
            memmove(image->bytes + at + length, image->bytes + at, image->size - at);
            image->size += length;
        }
    }
}

static void test_mutations(void **state)
{
    (void)state;
    struct image bases[] = {image_zip64(), image_read(FIXTURES "views.pt")};
    int accepted = 0;
    for (uint64_t trial = 0; trial < 4000; trial++) {
        struct rng rng = rng_at(1, RNG_STREAM_TEST, 0, trial);
        const struct image *base = &bases[trial % 2];
        struct image image = {malloc(base->size + 100), base->size};
        memcpy(image.bytes, base->bytes, base->size);
        mutate(&image, &rng);
        accepted += parse_and_walk(image.bytes, image.size, NULL) == ERR_OK;
        free(image.bytes);
    }
    free(bases[0].bytes);

    struct zip z;
    assert_int_equal(zip_parse(&z, bases[1].bytes, bases[1].size, "views", NULL), ERR_OK);
    const struct zip_entry *pickle = zip_find(&z, "archive/data.pkl");
    const unsigned char *from = bases[1].bytes + pickle->offset;
    for (uint64_t trial = 0; trial < 4000; trial++) {
        struct rng rng = rng_at(2, RNG_STREAM_TEST, 0, trial);
        struct image image = {malloc((size_t)pickle->size + 100), (size_t)pickle->size};
        memcpy(image.bytes, from, (size_t)pickle->size);
        mutate(&image, &rng);
        struct zip_writer w;
        const char *path = in_folder("mutated.pt");
        assert_int_equal(zip_writer_open(&w, path, NULL), ERR_OK);
        w.file.unsynced = true;
        for (int64_t i = 0; i < z.count; i++) {
            const struct zip_entry *entry = &z.entries[i];
            if (entry == pickle)
                zip_writer_add(&w, entry->name, image.bytes, image.size);
            else
                zip_writer_add(&w, entry->name, bases[1].bytes + entry->offset,
                               (size_t)entry->size);
        }
        assert_int_equal(zip_writer_commit(&w, NULL), ERR_OK);
        struct image file = image_read(path);
        accepted += parse_and_walk(file.bytes, file.size, NULL) == ERR_OK;
        free(file.bytes);
        free(image.bytes);
    }
    zip_close(&z);
    free(bases[1].bytes);
    assert_in_range(accepted, 1, 7999); /* neither all nor none */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_views_and_types),
        cmocka_unit_test(test_only_what_is_asked_for),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_pickles_that_lie),
        cmocka_unit_test(test_pickles_that_grow),
        cmocka_unit_test(test_archives_that_lie),
        cmocka_unit_test(test_entries_that_are_missing),
        cmocka_unit_test(test_entries_that_overlap),
        cmocka_unit_test(test_every_truncation),
        cmocka_unit_test(test_mutations),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
