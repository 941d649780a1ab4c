#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/log.h"
#include "base/pool.h"
#include "base/str.h"
#include "kernel/kernel.h"

#define COMMAND(name) extern const struct command command_##name;
#include "cli/commands.def"
#undef COMMAND

const struct command *const commands[] = {
#define COMMAND(name) &command_##name,
#include "cli/commands.def"
#undef COMMAND
    NULL,
};

const struct command *command_find(const char *name)
{
    for (int i = 0; commands[i] != NULL; i++)
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    return NULL;
}

int exit_code_of(enum err_code code)
{
    switch (code) {
    case ERR_OK:
        return EXIT_FINE;
    case ERR_USAGE:
        return EXIT_USAGE;
    case ERR_MODEL:
        return EXIT_MODEL_REFUSED;
    case ERR_INTERRUPTED:
        return EXIT_INTERRUPTED;
    default:
        return EXIT_FAILED;
    }
}

void print_json(const struct cJSON *value, bool indented)
{
    struct buf text = {0};
    json_print(value, indented, &text);
    buf_append(&text, "\n", 1);
    if (text.failed)
        BUG("out of memory while printing JSON");
    fwrite(text.data, 1, text.len, stdout);
    buf_free(&text);
}

/* ---- talk ---- */

static struct {
    pthread_mutex_t mutex;
    int verbosity;
    bool color;
    bool line_shown; /* a progress line stands on the terminal, without a newline */
} talk = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static void talk_clear_line(void)
{
    if (talk.line_shown)
        fputs("\r\033[K", stderr);
    talk.line_shown = false;
}

void print_progress(const struct invocation *call, const char *text)
{
    if (call->verbosity < 0)
        return;
    pthread_mutex_lock(&talk.mutex);
    talk_clear_line();
    if (text != NULL) {
        struct winsize window;
        int room = -1; /* a line that wraps could not be taken away again */
        if (call->progress && ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 1)
            room = window.ws_col - 1;
        fprintf(stderr, call->progress ? "%.*s" : "%.*s\n", room, text);
        talk.line_shown = call->progress;
    }
    fflush(stderr);
    pthread_mutex_unlock(&talk.mutex);
}

static void talk_line(enum log_level level, const char *message)
{
    static const char *const plain[] = {"debug: ", "", "warning: ", "error: "};
    static const char *const colored[] = {"\033[2mdebug:\033[0m ", "", "\033[33mwarning:\033[0m ",
                                          "\033[31merror:\033[0m "};
    pthread_mutex_lock(&talk.mutex);
    talk_clear_line();
    fprintf(stderr, "%s%s\n", talk.color ? colored[level] : plain[level], message);
    pthread_mutex_unlock(&talk.mutex);
}

static void talk_sink(enum log_level level, const char *message, void *context)
{
    (void)context;
    enum log_level least = talk.verbosity < 0   ? LOG_WARNING
                           : talk.verbosity > 0 ? LOG_DEBUG
                                                : LOG_INFO;
    if (level >= least)
        talk_line(level, message);
}

static void talk_error(const struct err *e)
{
    char text[ERR_CONTEXT_MAX * 202 + 512];
    err_format(e, text, sizeof text);
    talk_line(LOG_ERROR, text);
}

/* ---- options ---- */

/* What steers the frame, not what is asked for; so it is no part of a command's configuration. */
struct frame_options {
    int64_t threads;
    const char *backend;
    const char *config;
    const char *set; /* for help only: --set is repeatable, so parsed by hand */
    bool quiet, verbose, help;
};

const struct option cli_frame_rows[] = {
    OPT_INT(frame_options, threads, "0", 0, 1024, NULL,
            "threads for computing and reading; 0: OMP_NUM_THREADS, or all cores"),
    OPT_CHOICE(frame_options, backend, "cpu", "cpu|onednn|ref",
               "what computes: our vector code, oneDNN's matrix products in it, or plain C"),
    OPT_TEXT(frame_options, config, NULL, "FILE", "JSON file with values for the options"),
    OPT_TEXT(frame_options, set, NULL, "KEY=VALUE", "sets an option by its key; may be repeated"),
    OPT_BOOL(frame_options, quiet, "false", "or -q: only warnings and errors on standard error"),
    OPT_BOOL(frame_options, verbose, "false", "or -v: more talk on standard error"),
    OPT_BOOL(frame_options, help, "false", "or -h: shows this help"),
    OPTION_END,
};

struct seed_options {
    int64_t seed;
};

const struct option cli_seed_rows[] = {
    OPT_INT(seed_options, seed, "0", 0, 9.3e18, NULL, "seed of everything random"),
    OPTION_END,
};

struct parser {
    struct invocation *call;
    struct option_set frame;
    struct frame_options frame_values;
    struct seed_options seed_values;
    char **argv; /* what follows the command's name, NULL-terminated */
};

/* "mask_ratio" -> "--mask-ratio" */
static const char *flag_name(struct arena *a, const char *prefix, const char *name)
{
    char *flag = arena_printf(a, "--%s%s%s", prefix, prefix[0] == '\0' ? "" : ".", name);
    for (char *p = flag; p != NULL && *p != '\0'; p++)
        if (*p == '_')
            *p = '-';
    return flag != NULL ? flag : "";
}

static enum err_code fail_unknown_flag(struct parser *p, const char *flag, struct err *e)
{
    struct arena *a = &p->frame.arena;
    const struct option_set *sets[] = {&p->call->options, &p->frame};
    size_t room = 1;
    for (int s = 0; s < 2; s++)
        for (int g = 0; g < sets[s]->group_count; g++)
            for (const struct option *row = sets[s]->groups[g].rows; row->name != NULL; row++)
                room++;
    const char **flags = arena_push_array(a, room, sizeof *flags);
    const char **leaves = arena_push_array(a, room, sizeof *leaves);
    if (flags == NULL || leaves == NULL)
        FAIL(e, ERR_MEMORY, "out of memory while parsing options");
    size_t n = 0;
    for (int s = 0; s < 2; s++)
        for (int g = 0; g < sets[s]->group_count; g++)
            for (const struct option *row = sets[s]->groups[g].rows; row->name != NULL; row++) {
                flags[n] = flag_name(a, sets[s]->groups[g].prefix, row->name);
                leaves[n] = flag_name(a, "", row->name);
                n++;
            }
    int nearest = str_nearest(flag, flags);
    if (nearest < 0) /* "--mask-ratio" for "--mae.mask-ratio" */
        nearest = str_nearest(flag, leaves);
    if (nearest < 0)
        FAIL(e, ERR_USAGE, "unknown option %s", flag);
    FAIL(e, ERR_USAGE, "unknown option %s: did you mean %s?", flag, flags[nearest]);
}

static enum err_code parse_set(struct parser *p, const char *text, struct err *e)
{
    const char *equals = strchr(text, '=');
    if (equals == NULL || equals == text)
        FAIL(e, ERR_USAGE, "--set %s: expected key=value", text);
    const char *key = arena_strndup(&p->frame.arena, text, (size_t)(equals - text));
    if (key == NULL)
        FAIL(e, ERR_MEMORY, "out of memory while parsing options");
    return option_set_text(&p->call->options, key, equals + 1, OPTION_FROM_SET, e);
}

static enum err_code parse_config(struct parser *p, const char *path, struct err *e)
{
    cJSON *object;
    TRY(json_read(path, (size_t)1 << 20, &object, e));
    enum err_code code = option_set_json(&p->call->options, object, OPTION_FROM_FILE, e);
    cJSON_Delete(object);
    return code == ERR_OK ? code : err_context(e, "configuration %s", path);
}

/* One --flag at p->argv[*at]; moves *at to the last word it used. */
static enum err_code parse_flag(struct parser *p, int *at, struct err *e)
{
    struct arena *a = &p->frame.arena;
    const char *word = p->argv[*at];
    const char *equals = strchr(word, '=');
    size_t length = equals != NULL ? (size_t)(equals - word) : strlen(word);
    const char *flag = arena_strndup(a, word, length);
    if (flag == NULL)
        FAIL(e, ERR_MEMORY, "out of memory while parsing options");
    const char *key = flag + 2, *value = equals != NULL ? equals + 1 : NULL;

    struct option_set *sets[] = {&p->call->options, &p->frame}, *set = NULL;
    const struct option *row = NULL;
    for (int s = 0; s < 2 && row == NULL; s++) {
        set = sets[s];
        row = option_set_find(set, key);
        const struct option *negated = NULL;
        if (row == NULL && value == NULL && str_starts_with(key, "no-"))
            negated = option_set_find(set, key + 3);
        if (negated != NULL && negated->type == OPTION_BOOL)
            return option_set_text(set, key + 3, "false", OPTION_FROM_FLAG, e);
    }
    if (row == NULL)
        return fail_unknown_flag(p, flag, e);
    if (value == NULL && row->type == OPTION_BOOL) {
        value = "true";
    } else if (value == NULL) {
        value = p->argv[*at + 1];
        if (value == NULL || str_starts_with(value, "--"))
            FAIL(e, ERR_USAGE, "option %s needs a value", flag);
        ++*at;
    }
    if (set == &p->frame && strcmp(row->name, "set") == 0)
        return parse_set(p, value, e);
    if (set == &p->frame && strcmp(row->name, "config") == 0)
        return parse_config(p, value, e);
    return option_set_text(set, key, value, OPTION_FROM_FLAG, e);
}

/* Fails with the first that is wrong, and reads the others all the same. */
static enum err_code parse(struct parser *p, struct err *e)
{
    struct invocation *call = p->call;
    struct err later = {0};
    enum err_code code = ERR_OK;
    int count = 0;
    while (p->argv[count] != NULL)
        count++;
    call->arguments = arena_push_array(&call->options.arena, (size_t)count + 1, sizeof(char *));
    if (call->arguments == NULL)
        FAIL(e, ERR_MEMORY, "out of memory while parsing options");
    bool options_ended = false;
    for (int i = 0; i < count; i++) {
        char *word = p->argv[i];
        struct err *to = code == ERR_OK ? e : &later;
        enum err_code of_word = ERR_OK;
        if (options_ended || word[0] != '-' || word[1] == '\0')
            call->arguments[call->argument_count++] = word;
        else if (strcmp(word, "--") == 0)
            options_ended = true;
        else if (strcmp(word, "-h") == 0)
            p->frame_values.help = true;
        else if (strcmp(word, "-q") == 0)
            p->frame_values.quiet = true;
        else if (strcmp(word, "-v") == 0)
            p->frame_values.verbose = true;
        else if (word[1] == '-')
            of_word = parse_flag(p, &i, to);
        else
            of_word = RAISE(to, ERR_USAGE, "unknown option %s", word);
        code = code == ERR_OK ? of_word : code;
        if (p->frame_values.help)
            return code;
    }
    TRY(code);
    const struct command *command = call->command;
    if (call->argument_count < command->argument_min)
        FAIL(e, ERR_USAGE, "an argument is missing; usage: ecgfm %s %s", command->name,
             command->usage);
    if (command->argument_max >= 0 && call->argument_count > command->argument_max)
        FAIL(e, ERR_USAGE, "unexpected argument \"%s\"; usage: ecgfm %s %s",
             call->arguments[command->argument_max], command->name, command->usage);
    return ERR_OK;
}

/* ---- running ---- */

static int resolve_threads(int64_t wanted)
{
    const char *openmp = getenv("OMP_NUM_THREADS");
    int64_t count = wanted;
    if (count == 0 && (openmp == NULL || !str_to_i64(openmp, &count) || count < 1 || count > 1024))
        count = cpu_count();
    return (int)count;
}

void precision_select(const char *precision)
{
    if (strcmp(precision, "f32") == 0)
        return;
    char name[64];
    const char *backend = backend_selected()->name;
    snprintf(name, sizeof name, "%s-%s", backend, precision);
    if (!backend_select(name))
        log_warning("--precision %s: backend %s does not have it on this machine; computing in "
                    "float32",
                    precision, backend);
}

/* The seed may be the frame's or an option of the command itself. */
static uint64_t find_seed(const struct option_set *set)
{
    for (int g = 0; g < set->group_count; g++)
        for (const struct option *row = set->groups[g].rows; row->name != NULL; row++)
            if (set->groups[g].prefix[0] == '\0' && strcmp(row->name, "seed") == 0 &&
                row->type == OPTION_INT) {
                int64_t seed;
                memcpy(&seed, (const char *)set->groups[g].target + row->offset, sizeof seed);
                return (uint64_t)seed;
            }
    return 0;
}

static int run_command(const struct command *command, char **argv)
{
    struct err e = {0};
    bool terminal = isatty(STDERR_FILENO) == 1;
    const char *no_color = getenv("NO_COLOR");
    struct invocation call = {
        .command = command,
        .color = terminal && (no_color == NULL || no_color[0] == '\0'),
        .progress = terminal,
    };
    struct parser p = {.call = &call, .argv = argv};
    option_set_init(&call.options);
    option_set_init(&p.frame);
    if (command->options != NULL)
        command->options(&call.options);
    if (option_set_find(&call.options, "seed") == NULL)
        option_set_add(&call.options, "", cli_seed_rows, &p.seed_values);
    option_set_add(&p.frame, "", cli_frame_rows, &p.frame_values);
    talk.color = call.color;

    int status;
    if (parse(&p, &e) != ERR_OK) {
        talk_error(&e);
        fprintf(stderr, "ecgfm help %s shows the options\n", command->name);
        status = exit_code_of(e.code);
        /* A configuration file that cannot be read is a wrong use as well. */
        if (status == EXIT_FAILED)
            status = EXIT_USAGE;
        if (command->refused != NULL)
            command->refused(&e);
    } else if (p.frame_values.help) {
        print_help(stdout, command);
        status = EXIT_FINE;
    } else {
        call.verbosity = p.frame_values.quiet ? -1 : p.frame_values.verbose ? 1 : 0;
        call.threads = resolve_threads(p.frame_values.threads);
        call.seed = find_seed(&call.options);
        call.seed_set = option_set_source(&call.options, "seed") != OPTION_FROM_DEFAULT;
        talk.verbosity = call.verbosity;
        kernel_set_threads(call.threads);
        log_set_sink(talk_sink, NULL);
        if (backend_select(p.frame_values.backend))
            status = command->run(&call, &e);
        else
            status =
                exit_code_of(RAISE(&e, ERR_USAGE, "--backend %s: not available on this machine",
                                   p.frame_values.backend));
        print_progress(&call, NULL);
        if (e.code != ERR_OK && status != EXIT_FINE)
            talk_error(&e);
        log_set_sink(NULL, NULL);
    }
    option_set_free(&p.frame);
    option_set_free(&call.options);
    return status;
}

static int unknown_command(const char *name)
{
    enum { MAX = 256 };
    const char *names[MAX + 1];
    int n = 0;
    for (; commands[n] != NULL && n < MAX; n++)
        names[n] = commands[n]->name;
    names[n] = NULL;
    struct err e = {0};
    bool option = name[0] == '-';
    int nearest = option ? -1 : str_nearest(name, names);
    if (option)
        RAISE(&e, ERR_USAGE, "unknown option %s before the command", name);
    else if (nearest >= 0)
        RAISE(&e, ERR_USAGE, "unknown command %s: did you mean %s?", name, names[nearest]);
    else
        RAISE(&e, ERR_USAGE, "unknown command %s", name);
    talk_error(&e);
    fputs("ecgfm help lists the commands\n", stderr);
    return EXIT_USAGE;
}

/* A process started with a standard stream closed would hand its number to the next file opened,
 * and talk would end up inside it. */
static void hold_standard_streams(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", O_RDWR) < 0)
            abort();
}

/* Data that did not reach its place is a failure, whatever the command thought. */
static int finish_stdout(int status)
{
    bool bad = ferror(stdout) != 0;
    errno = 0;
    if (fclose(stdout) != 0 || bad) {
        struct err e = {0};
        int number = errno;
        RAISE(&e, ERR_IO, "cannot write standard output: %s",
              number != 0 ? strerror(number) : "a write failed");
        talk_error(&e);
        if (status == EXIT_FINE)
            status = EXIT_FAILED;
    }
    return status;
}

/* Records come and go by the thousand, each with some blocks of 10 to 500 KB: freed memory is kept for
 * the next one instead of being given back and faulted in again. */
static void keep_freed_memory(void)
{
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, 1 << 20);
    mallopt(M_TRIM_THRESHOLD, 16 << 20);
#endif
}

int cli_main(int argc, char **argv)
{
    hold_standard_streams();
    keep_freed_memory();
    int status;
    const char *name = argc > 1 ? argv[1] : NULL;
    if (name == NULL) {
        print_overview(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(name, "--version") == 0) {
        print_version(stdout);
        status = EXIT_FINE;
    } else {
        if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
            name = "help";
        const struct command *command = command_find(name);
        status = command == NULL ? unknown_command(name) : run_command(command, argv + 2);
    }
    return finish_stdout(status);
}
