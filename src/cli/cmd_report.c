/* ecgfm report: plots and page of run folders, made again. */
#include <stdio.h>

#include "cli/command.h"
#include "report/report.h"

static int report_run(struct invocation *call, struct err *e)
{
    int broken = 0;
    for (int i = 0; i < call->argument_count; i++) {
        int here = 0;
        enum err_code code = report_write(call->arguments[i], &here, e);
        if (code != ERR_OK)
            return exit_code_of(code);
        broken += here;
        printf("%s/report.html\n", call->arguments[i]);
    }
    return broken > 0 ? EXIT_SOME_REFUSED : EXIT_FINE;
}

const struct command command_report = {
    .name = "report",
    .summary = "draws the plots of run folders and writes their pages",
    .usage = "RUN...",
    .details =
        "Writes RUN/report.html, one page that needs no network, and its plots as RUN/plots/*.svg; "
        "prints the path of the page. pretrain, probe and finetune do so at their end; this makes "
        "them again, also while a run goes on: learning curves of what metrics.jsonl holds, ROC, "
        "precision and recall, reliability and decisions of predictions.csv, and the figures of "
        "metrics.json with their intervals. What a folder does not hold is no part of its page. A "
        "file that is broken is left out, which the page says; the exit code is 3 then.",
    .examples = "ecgfm report runs/finetune\n"
                "ecgfm report runs/*",
    .argument_min = 1,
    .argument_max = -1,
    .run = report_run,
};
