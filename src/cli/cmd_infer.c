#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/pool.h"
#include "base/str.h"
#include "cli/command.h"
#include "cli/infer_files.h"
#include "format/csv.h"
#include "model/scorer.h"
#include "train/as_is.h"
#include "train/intake.h"

static struct infer_options {
    const char *model, *csv, *precision;
    const char *embeddings, *embeddings_per, *tokens, *saliency, *saliency_per, *attention;
    const char *as_is, *lengths;
    bool from_stdin, strict;
} given;

static const struct option rows[] = {
    OPT_TEXT(infer_options, model, NULL, "PATH", "model file, or a run folder that holds one"),
    OPT_TEXT(infer_options, csv, NULL, "FILE",
             "write a table to this file instead of JSON Lines; -: stdout"),
    OPT_TEXT(infer_options, embeddings, NULL, "FILE",
             "also write the features of every scored record to this safetensors file"),
    OPT_CHOICE(infer_options, embeddings_per, "record", "record|segment",
               "features that are means over a record's segments (windows), or those of each"),
    OPT_TEXT(infer_options, tokens, NULL, "FILE",
             "also write the encoder's output to this safetensors file"),
    OPT_TEXT(infer_options, saliency, NULL, "FILE",
             "also write what the last layer attends to, in short, to this safetensors file"),
    OPT_CHOICE(infer_options, saliency_per, "token", "token|sample",
               "a number for each token, or a smooth curve through them over the samples"),
    OPT_TEXT(infer_options, attention, NULL, "FILE",
             "also write what each token attends to, in every layer, to this safetensors file"),
    OPT_TEXT(infer_options, as_is, NULL, "FILE",
             "in place of recordings: float32 [records, leads, samples] of this .npy file, handed "
             "to the network unchanged"),
    OPT_TEXT(infer_options, lengths, NULL, "FILE",
             "with --as-is: valid samples of each record, what follows is padding; an .npy file of "
             "whole numbers, or text with one a line"),
    OPT_CHOICE(infer_options, precision, "f32", "f32|bf16|int8",
               "what products compute in; any storage of the file goes with any of these"),
    {"stdin", OPTION_BOOL, offsetof(struct infer_options, from_stdin), "false", 0, 0, NULL, NULL,
     "read paths from standard input, one a line", false},
    OPT_BOOL(infer_options, strict, "false", "refuse records whose checksums differ"),
    OPTION_END};

struct inference {
    struct invocation *call;
    const char *model_path;
    struct model model;
    bool model_proven; /* all its values are finite */
    struct scorer *scorer;
    struct path_list paths;
    struct as_is as_is;
    int64_t count;                 /* of records */
    const char **names;            /* [count] */
    struct file_writer table_file; /* --csv */
    struct infer_files files;
    int64_t scored, refused;
    int64_t chunk;                  /* records read and scored at a time */
    struct scored *records;         /* [chunk] */
    int64_t *places;                /* [chunk] which record of the chunk each of these is */
    int64_t done;                   /* records before this chunk */
    float *features_of, *logits_of; /* [chunk,F], [chunk,K] */
    float *scores;                  /* [K] of the record being written */
};

/* --- output ------------------------------------------------------------------------------------- */

static void put_number(struct buf *b, float value)
{
    char text[40];
    str_from_f32(value, text, sizeof text);
    buf_puts(b, text);
}

/* How much was scored; what is handed over as it is has no time of its own. */
static void put_extent(const struct inference *f, struct buf *b, const struct intake *in)
{
    if (given.as_is) {
        buf_printf(b, ",\"samples\":%lld,\"windows\":1", (long long)in->samples);
        return;
    }
    buf_puts(b, ",\"seconds\":");
    put_number(b, (float)((double)in->samples / f->model.contract.rate_hz));
    buf_printf(b, ",\"windows\":%lld", (long long)window_count(&f->model.contract, in->samples));
}

/* The classes whose score reaches their threshold, where the model has thresholds. */
static void put_found(const struct inference *f, struct buf *b)
{
    const struct model_classes *c = &f->model.classes;
    bool any = false;
    for (int64_t k = 0; k < c->count; k++)
        any = any || c->thresholds[k] > 0;
    if (!any)
        return;
    const char *before = "";
    buf_puts(b, ",\"found\":[");
    for (int64_t k = 0; k < c->count; k++)
        if (c->thresholds[k] > 0 && (double)f->scores[k] >= c->thresholds[k]) {
            buf_puts(b, before);
            json_print_string(c->names[k], b);
            before = ",";
        }
    buf_puts(b, "]");
}

static void put_json_line(const struct inference *f, struct buf *b, const char *path,
                          const struct intake *in)
{
    buf_puts(b, "{\"file\":");
    json_print_string(path, b);
    if (in->code == ERR_OK) {
        buf_puts(b, ",\"status\":\"ok\"");
        if (f->model.classes.count > 0) {
            buf_puts(b, f->model.classes.values ? ",\"values\":{" : ",\"scores\":{");
            for (int64_t k = 0; k < f->model.classes.count; k++) {
                buf_puts(b, k ? "," : "");
                json_print_string(f->model.classes.names[k], b);
                buf_puts(b, ":");
                put_number(b, f->scores[k]);
            }
            buf_puts(b, "}");
            put_found(f, b);
        }
        put_extent(f, b, in);
    } else {
        buf_puts(b, ",\"status\":\"refused\",\"code\":");
        json_print_string(err_code_name(in->code), b);
        buf_puts(b, ",\"reason\":");
        json_print_string(in->reason, b);
    }
    if (in->code == ERR_OK && in->absent != 0) {
        const struct contract *c = &f->model.contract;
        const char *before = ",\"absent_leads\":[";
        for (int64_t l = 0; l < c->lead_count; l++)
            if (in->absent >> l & 1) {
                buf_printf(b, "%s\"%s\"", before, lead_name(c->leads[l]));
                before = ",";
            }
        buf_puts(b, "]");
    }
    if (in->code == ERR_OK && in->warning_count > 0) {
        buf_puts(b, ",\"warnings\":[");
        for (int i = 0; i < in->warning_count; i++) {
            buf_puts(b, i ? "," : "");
            json_print_string(in->warnings[i], b);
        }
        buf_puts(b, "]");
    }
    buf_puts(b, "}\n");
}

static void put_csv_header(const struct inference *f, struct buf *b)
{
    buf_puts(b, "file,status,code,reason,warnings");
    for (int64_t k = 0; k < f->model.classes.count; k++) {
        buf_puts(b, ",");
        csv_put(b, f->model.classes.names[k]);
    }
    buf_puts(b, "\n");
}

static void put_csv_line(const struct inference *f, struct buf *b, const char *path,
                         const struct intake *in)
{
    bool good = in->code == ERR_OK;
    csv_put(b, path);
    buf_puts(b, good ? ",ok,," : ",refused,");
    if (!good) {
        csv_put(b, err_code_name(in->code));
        buf_puts(b, ",");
        csv_put(b, in->reason);
    }
    buf_puts(b, ",");
    struct buf warnings;
    buf_init(&warnings, 0);
    for (int i = 0; i < in->warning_count; i++)
        buf_printf(&warnings, "%s%s", i ? "; " : "", in->warnings[i]);
    csv_put(b, warnings.data ? warnings.data : "");
    buf_free(&warnings);
    for (int64_t k = 0; k < f->model.classes.count; k++) {
        buf_puts(b, ",");
        if (good)
            put_number(b, f->scores[k]);
    }
    buf_puts(b, "\n");
}

static enum err_code emit(struct inference *f, const struct buf *b, struct err *e)
{
    if (b->failed)
        FAIL(e, ERR_MEMORY, "no memory for a line of output");
    if (f->table_file.stream)
        file_writer_write(&f->table_file, b->data, b->len);
    else if (fwrite(b->data, 1, b->len, stdout) != b->len)
        FAIL(e, ERR_IO, "cannot write to standard output: %s", strerror(errno));
    return ERR_OK;
}

/* --- scoring ------------------------------------------------------------------------------------ */

struct reading {
    const struct inference *f;
    struct intake *intakes;
};

static void read_one(void *context, int64_t i)
{
    struct reading *r = context;
    const struct inference *f = r->f;
    if (given.as_is)
        as_is_read(&f->as_is, f->done + i, &r->intakes[i]);
    else
        intake_read(&r->intakes[i], f->names[f->done + i], &f->model.contract, given.strict);
}

static void take_window(void *context, const struct window *w)
{
    struct inference *f = context;
    int64_t i = f->places[w->record - f->records];
    infer_files_take(&f->files, w, f->names[f->done + i]);
}

/* One finite result proves the model (model_open_unchecked); without one its values are looked at. */
static enum err_code prove_model(struct inference *f, int64_t scored, struct err *e)
{
    for (int64_t r = 0; r < scored; r++)
        f->model_proven |= f->records[r].code == ERR_OK;
    if (!f->model_proven && model_check(&f->model, e) != ERR_OK)
        return err_context(e, "model file %s", f->model_path);
    f->model_proven = true;
    return ERR_OK;
}

/* Scores the records of a chunk that were read. Errors: ERR_MODEL. */
static enum err_code score_chunk(struct inference *f, struct intake *intakes, int64_t n,
                                 struct err *e)
{
    int64_t F = model_feature_count(&f->model), K = f->model.classes.count, good = 0;
    for (int64_t i = 0; i < n; i++) {
        if (intakes[i].code != ERR_OK)
            continue;
        f->records[good] =
            (struct scored){.x = intakes[i].x,
                            .samples = intakes[i].samples,
                            .length = f->as_is.lengths ? f->as_is.lengths[f->done + i] : 0,
                            .features = f->features_of + i * F,
                            .logits = f->logits_of + i * K};
        f->places[good++] = i;
    }
    scorer_records(f->scorer, f->records, good);
    TRY(infer_files_check(&f->files, e));
    TRY(prove_model(f, good, e));
    for (int64_t i = 0, r = 0; i < n; i++) {
        if (intakes[i].code != ERR_OK)
            continue;
        struct scored *scored = &f->records[r++];
        if (scored->code == ERR_OK)
            continue;
        struct err why = {0};
        scored_explain(f->scorer, scored, &why);
        intakes[i].code = scored->code;
        intakes[i].reason = arena_strdup(&intakes[i].arena, why.message);
    }
    return ERR_OK;
}

/* Writes the line of record i of a chunk. */
static enum err_code finish_one(struct inference *f, const char *path, int64_t i,
                                const struct intake *in, struct buf *line, struct err *e)
{
    int64_t K = f->model.classes.count;
    if (in->code == ERR_OK) {
        for (int64_t k = 0; k < K; k++)
            f->scores[k] = score_from_output(&f->model.classes, k, f->logits_of[i * K + k]);
        f->scored++;
    } else {
        f->refused++;
    }
    buf_clear(line);
    if (given.csv)
        put_csv_line(f, line, path, in);
    else
        put_json_line(f, line, path, in);
    return emit(f, line, e);
}

static enum err_code score_all(struct inference *f, struct err *e)
{
    int64_t chunk = f->chunk;
    struct intake *intakes = calloc((size_t)chunk, sizeof *intakes);
    struct buf line;
    buf_init(&line, 0);
    ASSERT(intakes, "out of memory");
    enum err_code code = ERR_OK;
    double shown = clock_seconds();
    for (int64_t done = 0; done < f->count && code == ERR_OK; done += chunk) {
        int64_t n = f->count - done < chunk ? f->count - done : chunk;
        struct reading r = {f, intakes};
        f->done = done;
        pool_for(f->call->threads, n, read_one, &r);
        code = score_chunk(f, intakes, n, e);
        if (code == ERR_OK && given.csv && done == 0) {
            put_csv_header(f, &line);
            code = emit(f, &line, e);
        }
        for (int64_t i = 0; i < n; i++) {
            if (code == ERR_OK)
                code = finish_one(f, f->names[done + i], i, &intakes[i], &line, e);
            arena_reset(&intakes[i].arena);
        }
        fflush(stdout); /* who waits for these lines gets them; a failure shows at the end */
        if (f->call->progress && clock_seconds() - shown > 0.5) {
            char text[96];
            snprintf(text, sizeof text, "%lld of %lld records, %lld refused", (long long)(done + n),
                     (long long)f->count, (long long)f->refused);
            print_progress(f->call, text);
            shown = clock_seconds();
        }
    }
    if (f->call->progress)
        print_progress(f->call, NULL);
    buf_free(&line);
    free(intakes);
    return code;
}

/* --- the command -------------------------------------------------------------------------------- */

static enum err_code collect_paths(struct inference *f, struct err *e)
{
    for (int i = 0; i < f->call->argument_count; i++)
        TRY(path_list_add(&f->paths, f->call->arguments[i], e));
    if (given.from_stdin) {
        char *line = NULL;
        size_t cap = 0;
        ssize_t length;
        enum err_code code = ERR_OK;
        while (code == ERR_OK && (length = getline(&line, &cap, stdin)) >= 0) {
            while (length > 0 && (line[length - 1] == '\n' || line[length - 1] == '\r'))
                line[--length] = 0;
            if (length > 0)
                code = path_list_add(&f->paths, line, e);
        }
        free(line);
        TRY(code);
    }
    f->count = f->paths.count;
    f->names = f->paths.paths;
    if (f->count == 0)
        FAIL(e, ERR_USAGE,
             "no records are named: give files, folders or patterns, --stdin or --as-is");
    return ERR_OK;
}

/* The array of --as-is, its records named after their place in it. */
static enum err_code open_as_is(struct inference *f, struct err *e)
{
    if (as_is_open(&f->as_is, given.as_is, given.lengths, &f->model, e) != ERR_OK)
        return err_context(e, "--as-is%s for model file %s", given.lengths ? " with --lengths" : "",
                           f->model_path);
    f->count = f->as_is.count;
    f->names = arena_push_array(&f->paths.arena, (size_t)f->count, sizeof *f->names);
    bool named = f->names != NULL;
    for (int64_t i = 0; i < f->count && named; i++) {
        f->names[i] = arena_printf(&f->paths.arena, "%s[%lld]", given.as_is, (long long)i);
        named = f->names[i] != NULL;
    }
    if (!named)
        FAIL(e, ERR_MEMORY, "no memory for the names of %lld records", (long long)f->count);
    return ERR_OK;
}

/* What goes with what. */
static enum err_code check_given(const struct inference *f, struct err *e)
{
    if (!given.model)
        FAIL(e, ERR_USAGE, "--model FILE is missing");
    if (given.as_is && (f->call->argument_count || given.from_stdin || given.strict))
        FAIL(e, ERR_USAGE,
             "--as-is takes the place of recordings: it goes with no PATH, --stdin "
             "or --strict");
    if (given.lengths && !given.as_is)
        FAIL(e, ERR_USAGE, "--lengths goes with --as-is");
    if (!given.embeddings && strcmp(given.embeddings_per, "segment") == 0)
        FAIL(e, ERR_USAGE, "--embeddings-per goes with --embeddings");
    if (!given.saliency && strcmp(given.saliency_per, "sample") == 0)
        FAIL(e, ERR_USAGE, "--saliency-per goes with --saliency");
    return ERR_OK;
}

static enum err_code open_scorer(struct inference *f, struct err *e)
{
    struct infer_files_options o = {.paths = {[INFER_EMBEDDINGS] = given.embeddings,
                                              [INFER_TOKENS] = given.tokens,
                                              [INFER_SALIENCY] = given.saliency,
                                              [INFER_ATTENTION] = given.attention},
                                    .embeddings_by_segment =
                                        strcmp(given.embeddings_per, "segment") == 0,
                                    .saliency_by_sample = strcmp(given.saliency_per, "sample") == 0,
                                    .scorer = {.sample_count = f->as_is.samples,
                                               .lengths = given.lengths != NULL,
                                               .tokens = given.tokens != NULL,
                                               .saliency = given.saliency != NULL,
                                               .attention = given.attention != NULL}};
    enum err_code code = scorer_open_for(&f->scorer, &f->model, NULL, &o.scorer, e);
    if (code != ERR_OK && (given.attention || given.saliency)) /* the rest was looked at before */
        return err_context(e, "%s of model file %s", given.attention ? "--attention" : "--saliency",
                           f->model_path);
    TRY(code);
    TRY(infer_files_open(&f->files, &o, &f->model, f->scorer, f->names, f->count, e));
    if (given.embeddings || given.tokens || given.saliency || given.attention)
        scorer_visit(f->scorer, take_window, f);
    return ERR_OK;
}

static enum err_code prepare(struct inference *f, struct err *e)
{
    TRY(check_given(f, e));
    if (!given.as_is)
        TRY(collect_paths(f, e));
    precision_select(given.precision);
    f->model_path = model_path(&f->paths.arena, given.model);
    TRY(model_open_unchecked(&f->model, f->model_path, e));
    if (f->model.classes.count == 0 && !given.embeddings && !given.tokens && !given.saliency &&
        !given.attention)
        FAIL(e, ERR_MODEL,
             "%s is an encoder without a head: it gives --embeddings, --tokens, --saliency and "
             "--attention, or becomes a classifier by probe or finetune",
             given.model);
    if (given.as_is)
        TRY(open_as_is(f, e));
    TRY(open_scorer(f, e));
    size_t F = (size_t)model_feature_count(&f->model), K = (size_t)f->model.classes.count;
    f->chunk = 32 * (int64_t)f->call->threads;
    f->records = calloc((size_t)f->chunk, sizeof *f->records);
    f->places = calloc((size_t)f->chunk, sizeof *f->places);
    f->features_of = calloc((size_t)f->chunk * F, sizeof(float));
    f->logits_of = calloc((size_t)f->chunk * K + 1, sizeof(float));
    f->scores = calloc(K + 1, sizeof(float));
    ASSERT(f->records && f->places && f->features_of && f->logits_of && f->scores, "out of memory");
    if (!given.csv || strcmp(given.csv, "-") == 0)
        return ERR_OK;
    TRY(file_writer_open(&f->table_file, given.csv, e));
    return infer_files_refuse(&f->files, &f->table_file, "--csv", e);
}

static void release(struct inference *f)
{
    if (f->table_file.stream)
        file_writer_abandon(&f->table_file);
    infer_files_abandon(&f->files);
    scorer_close(f->scorer);
    model_free(&f->model);
    path_list_free(&f->paths);
    as_is_close(&f->as_is);
    free(f->records);
    free(f->places);
    free(f->features_of);
    free(f->logits_of);
    free(f->scores);
}

static void options(struct option_set *set) { option_set_add(set, "", rows, &given); }

static int run(struct invocation *call, struct err *e)
{
    struct inference f = {.call = call};
    path_list_init(&f.paths);
    double started = clock_seconds();
    enum err_code code = prepare(&f, e);
    if (code == ERR_OK)
        code = score_all(&f, e);
    if (code == ERR_OK && f.table_file.stream)
        code = file_writer_commit(&f.table_file, e);
    if (code == ERR_OK)
        code = infer_files_close(&f.files, e);
    int result = exit_code_of(code);
    if (code == ERR_OK) {
        log_info("%lld scored, %lld refused in %.1f s (%s)", (long long)f.scored,
                 (long long)f.refused, clock_seconds() - started, backend_selected()->name);
        result = f.refused == 0 ? EXIT_FINE : f.scored > 0 ? EXIT_SOME_REFUSED : EXIT_ALL_REFUSED;
    }
    release(&f);
    return result;
}

const struct command command_infer = {
    .name = "infer",
    .summary = "scores recordings with a model",
    .usage = "--model FILE [options] PATH... | --as-is FILE",
    .details =
        "PATH is a record, a folder (every record below it) or a quoted pattern. Each record "
        "gives\n"
        "one line of JSON on standard output, in the order named:\n"
        "  {\"file\": ..., \"status\": \"ok\", \"scores\": {\"NORM\": 0.97, ...}, ...}\n"
        "  {\"file\": ..., \"status\": \"refused\", \"code\": ..., \"reason\": ...}\n"
        "A model of values gives \"values\": {\"age\": 61.2} in their units in place of scores.\n"
        "The model file says which leads, rate, length and units it takes: a recording is "
        "converted\n"
        "to that or refused. Leads that the model takes as zeros where they are missing are told\n"
        "as \"absent_leads\". Longer recordings are scored in windows, which overlap or follow "
        "each\n"
        "other as the model says, and so it says for each class what becomes of their results:\n"
        "mean of logits, mean or greatest of probabilities. Where a model has thresholds, "
        "\"found\"\n"
        "names the classes whose score reaches theirs.\n"
        "A record's scores are the same bytes alone or among others, on any number of\n"
        "threads. Exit code: 0 all scored, 3 some refused, 4 all refused, 5 model refused.\n"
        "\n"
        "More than scores, also of encoders without a head, in safetensors files whose metadata\n"
        "lists the scored `files`:\n"
        "  --embeddings  embeddings [records, features]; by segment [segments, features]\n"
        "  --tokens      tokens [records, tokens of all its segments, width]; where records\n"
        "                differ in segments, tokens.I [tokens, width] for each record I\n"
        "  --saliency    saliency [segments, tokens]: the most that a token attends to one\n"
        "                token in the last layer, weights averaged over the heads; by sample\n"
        "                [segments, samples] ([segments, leads, samples] with tokens of leads)\n"
        "  --attention   attention [segments, layers, tokens, tokens]: these weights in every\n"
        "                layer, a row for each query\n"
        "Segments are the windows of the records, one after the other; `record` and `start`\n"
        "[segments] tell which of `files` and the first sample. --as-is converts nothing: to\n"
        "compare with another program, give both the same array and compare --tokens. A network\n"
        "that learned the places of its tokens takes its own number of samples only, others any;\n"
        "with --lengths, `length` [segments] tells the valid samples: tokens beyond mean nothing.\n"
        "For research; not a medical device.",
    .examples = "ecgfm infer --model runs/finetune/model.safetensors ecgs/ > scores.jsonl\n"
                "ecgfm infer --model runs/finetune --csv scores.csv 'ecgs/*.hea'\n"
                "find ecgs -name '*.hea' | ecgfm infer --model runs/finetune --stdin\n"
                "ecgfm infer --model runs/mae --embeddings features.safetensors ecgs/\n"
                "ecgfm infer --model runs/finetune --saliency saliency.safetensors ecgs/\n"
                "ecgfm infer --model runs/finetune --as-is x.npy --tokens tokens.safetensors",
    .options = options,
    .argument_max = -1,
    .run = run,
};
