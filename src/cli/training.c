#include "cli/training.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "cli/eval_print.h"
#include "cli/values_table.h"
#include "report/report.h"

static void time_text(double seconds, char *out, size_t size)
{
    long s = seconds > 0 && seconds < 1e7 ? (long)(seconds + 0.5) : 0;
    if (s >= 3600)
        snprintf(out, size, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(out, size, "%ld:%02ld", s / 60, s % 60);
}

void training_progress_show(void *context, const struct trainer_progress *p)
{
    struct training_progress *c = context;
    double now = clock_seconds();
    bool last = p->step == p->steps;
    double interval = c->call->progress ? 0.2 : 10;
    if (now - c->last < interval && !last)
        return;
    c->last = now;
    char left[32], score[40] = "", line[256];
    time_text(p->seconds_left, left, sizeof left);
    if (!isnan(p->score))
        snprintf(score, sizeof score, " validation %.4f", p->score);
    snprintf(line, sizeof line,
             "epoch %lld/%lld step %lld/%lld loss %.4f%s lr %.2g %.0f records/s %s left",
             (long long)p->epoch, (long long)p->epochs, (long long)p->step, (long long)p->steps,
             p->loss, score, p->rate, p->records_per_second, left);
    print_progress(c->call, line);
    if (last && c->call->progress)
        print_progress(c->call, NULL);
}

void training_experiment(struct invocation *call, const char *command,
                         const struct experiment_options *options,
                         struct training_progress *progress, struct experiment *x)
{
    precision_select(options->precision);
    *progress = (struct training_progress){.call = call};
    x->command = command;
    x->seed = call->seed;
    x->threads = call->threads;
    x->progress_context = progress;
    x->progress = training_progress_show;
}

void training_report(const char *folder)
{
    struct err e = {0};
    char text[1024];
    if (report_write(folder, NULL, &e) == ERR_OK)
        return;
    err_format(&e, text, sizeof text);
    log_warning("the run is complete, but its report could not be written: %s", text);
}

int training_series(struct invocation *call, const char *command, const struct adapt *given,
                    const struct series_options *options, bool json, struct err *e)
{
    struct training_progress progress = {.call = call};
    struct run_series s = {.command = command,
                           .set = &call->options,
                           .given = given,
                           .options = options,
                           .seed = call->seed,
                           .threads = call->threads,
                           .progress_context = &progress,
                           .progress = training_progress_show,
                           .finished = training_report};
    precision_select(given->data.precision);
    enum err_code code = series_make(&s, e);
    if (s.table && json)
        print_json(s.table, true);
    else if (s.table)
        fwrite(s.text.data, 1, s.text.len, stdout);
    series_free(&s);
    return exit_code_of(code);
}

void training_print_evaluation(const struct evaluation *ev, bool json)
{
    if (json) {
        cJSON *value = evaluation_to_json(ev);
        print_json(value, true);
        cJSON_Delete(value);
        return;
    }
    if (ev->regression) {
        values_table_print(ev);
        return;
    }
    bool columns[METRIC_COUNT_MAX] = {false};
    columns[metric_index("auroc")] = columns[metric_index("auprc")] = true;
    print_evaluation(ev, columns);
    log_info("%lld records, %lld classes%s", (long long)ev->count, (long long)ev->class_count,
             ev->options.draws > 0 ? "; in brackets the central 95 % of draws" : "");
}
